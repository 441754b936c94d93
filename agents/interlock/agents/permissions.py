"""Who may send what to whom, as rows for a broker; generated from the catalogue, never written by hand."""

from __future__ import annotations

__all__ = ["allowed_rows"]

from collections.abc import Iterable, Mapping

from interlock.protocol.catalogue import CATALOGUE, Catalogue
from interlock.protocol.message import ALL
from interlock.protocol.roles import ALL_ROLES


def allowed_rows(
    names: Iterable[str] = ALL_ROLES, *, catalogue: Catalogue = CATALOGUE
) -> Mapping[str, frozenset[tuple[str, str]]]:
    """Return for each name the (receiver, type) pairs that it may send within these names and to `all`."""
    team = tuple(names)
    return {
        sender: frozenset(
            (receiver, message.declaration.type)
            for message in catalogue
            for receiver in (*team, ALL)
            if message.declaration.route.allows(sender, receiver) and receiver != sender
        )
        for sender in team
    }
