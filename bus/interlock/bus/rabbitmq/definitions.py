"""Broker users and what each may do, as a document that RabbitMQ loads at start; it knows rows, not the catalogue.

An agent may read its own queues and write the (receiver, type) pairs of its rows, and nothing else: no configure right
but for its own reply and observer queues, and never the default exchange. RabbitMQ's topic permissions default to
allow-all, so every user has a row for every topic exchange (rabbitmq.com/docs/access-control, "Topic Authorisation").
"""

from __future__ import annotations

__all__ = ["ADMIN", "VHOST", "Definitions", "definitions"]

import base64
import hashlib
import json
import re
import secrets
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from interlock.bus.rabbitmq.topology import JOURNAL, MESSAGES, PARKED, observer_prefix, parking_queue, reply_prefix

ADMIN = "interlock-admin"
"""The user that applies the topology; agents have no configure right."""

VHOST = "interlock"
"""The virtual host that everything lives in."""

_NOTHING = "^$"


@dataclass(frozen=True, slots=True)
class Definitions:
    """What RabbitMQ loads, and the passwords that it holds only hashes of. The passwords are secret."""

    document: Mapping[str, Any] = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)

    def to_json(self) -> str:
        """Return the document for `load_definitions`; it contains salted hashes, not passwords."""
        return json.dumps(self.document, indent=2, sort_keys=True)


def definitions(
    allowed: Mapping[str, Collection[tuple[str, str]]],
    *,
    observers: Collection[str] = (),
    passwords: Mapping[str, str] | None = None,
) -> Definitions:
    """Generate one user per sender with the permissions of its rows.

    `allowed` maps each agent to the (receiver, type) pairs that it may send; an agent without a pair still gets a
    user, to receive. `observers` may read copies of every handoff. Passwords are random unless given.
    """
    chosen = {user: secrets.token_urlsafe(24) for user in (ADMIN, *sorted(allowed))} | dict(passwords or {})
    document = {
        "users": [_user(name, password) for name, password in chosen.items()],
        "vhosts": [{"name": VHOST}],
        "permissions": [_admin(), *(_permission(agent, observes=agent in observers) for agent in sorted(allowed))],
        "topic_permissions": [
            row
            for agent in sorted(allowed)
            for row in _topic_permissions(agent, allowed[agent], observes=agent in observers)
        ],
    }
    return Definitions(document, chosen)


def _user(name: str, password: str) -> dict[str, Any]:
    # The format of rabbit_password_hashing_sha256: a 4-byte salt, then SHA-256 of salt and password.
    salt = secrets.token_bytes(4)
    hashed = base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
    return {
        "name": name,
        "password_hash": hashed,
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        # An administrator may give itself any tag; this one lets it move messages under their senders' names.
        "tags": ["administrator", "impersonator"] if name == ADMIN else [],
        "limits": {},
    }


def _admin() -> dict[str, str]:
    return {"user": ADMIN, "vhost": VHOST, "configure": ".*", "write": ".*", "read": ".*"}


def _permission(agent: str, *, observes: bool) -> dict[str, str]:
    own = f"({re.escape(reply_prefix(agent))}|{re.escape(observer_prefix(agent))}).+"
    queues = f"{re.escape(agent)}|{re.escape(parking_queue(agent))}"
    exchanges = f"{re.escape(MESSAGES)}|{re.escape(JOURNAL)}"
    # A pattern covers exchanges and queues alike: reading the journal's exchange is reading its stream of everything.
    readable = exchanges if observes else re.escape(MESSAGES)
    return {
        "user": agent,
        "vhost": VHOST,
        "configure": f"^{own}$",
        "write": f"^({exchanges}|{own})$",
        "read": f"^({readable}|{queues}|{own})$",
    }


def _topic_permissions(agent: str, rows: Iterable[tuple[str, str]], *, observes: bool) -> list[dict[str, str]]:
    writable = _writable(rows)
    own_replies = f"^{re.escape(reply_prefix(agent))}.+"
    return [
        _topic(agent, MESSAGES, write=writable, read=own_replies),
        _topic(agent, JOURNAL, write=writable, read=".*" if observes else _NOTHING),
        _topic(agent, PARKED, write=_NOTHING, read=_NOTHING),
    ]


def _topic(agent: str, exchange: str, *, write: str, read: str) -> dict[str, str]:
    return {"user": agent, "vhost": VHOST, "exchange": exchange, "write": write, "read": read}


def _writable(rows: Iterable[tuple[str, str]]) -> str:
    """Return a pattern for these pairs, each receiver reachable at its address and at its reply addresses."""
    types: dict[str, set[str]] = {}
    for receiver, type_ in rows:
        types.setdefault(receiver, set()).add(type_)
    if not types:
        return _NOTHING
    cells = (rf"({_addresses(receiver)})\.({_any_of(names)})" for receiver, names in sorted(types.items()))
    return f"^({'|'.join(cells)})$"


def _addresses(receiver: str) -> str:
    return f"{re.escape(receiver)}|{re.escape(reply_prefix(receiver))}[^.]+"


def _any_of(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(names)))
