"""Whether the broker lets every agent send what the catalogue lets it send, and no more; it knows no queue's state.

Patterns are compared by what they allow among all the names that exist, not by their text.
"""

from __future__ import annotations

__all__ = ["PermissionsCheck"]

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from interlock.agents.doctor.finding import Finding
from interlock.agents.doctor.ward import Ward
from interlock.agents.permissions import allowed_rows
from interlock.bus.rabbitmq.definitions import ADMIN, definitions
from interlock.bus.rabbitmq.management import Management
from interlock.bus.rabbitmq.topology import JOURNAL, MESSAGES, PARKED, observer_prefix, parking_queue, reply_prefix
from interlock.bus.transport import routing_key
from interlock.protocol.message import ALL
from interlock.protocol.roles import CONSOLE

_ADVICE = "load what `interlock topology definitions` writes, or correct it by `rabbitmqctl set_topic_permissions`"
_NAMED = 3
"""How many pairs are named in one line."""


class PermissionsCheck:
    """The rows of every agent that has a user, against the catalogue."""

    area = "permissions"

    async def look(self, ward: Ward) -> Sequence[Finding]:
        """Ask the management API; over AMQP only a message that is refused would tell."""
        management = ward.management
        if management is None:
            evidence = "AMQP tells only when a message is refused"
            return [
                Finding.unknown("permissions", evidence, "set broker.management_url, with an administrator's login")
            ]
        users, wanted = await _users(management), _wanted(ward)
        universe = _Universe(ward)
        findings: list[Finding] = []
        for name in ward.agents:
            if name not in users:
                findings.append(Finding.failed(name, "the broker has no such user", _ADVICE))
                continue
            findings += universe.compare(name, users[name], wanted)
        well = [name for name in ward.agents if name in users and not any(f.subject == name for f in findings)]
        if well:
            findings.insert(0, Finding.ok("catalogue", f"{len(well)} users may send and read what they should"))
        return findings


async def _users(management: Management) -> Mapping[str, Mapping[tuple[str, str], str]]:
    """Return for each user its patterns: by (exchange or empty, right)."""
    users: dict[str, dict[tuple[str, str], str]] = {row["name"]: {} for row in await management.get("users")}
    for row in await management.rows("permissions"):
        for right in ("configure", "write", "read"):
            users.setdefault(row["user"], {})["", right] = row[right]
    for row in await management.rows("topic-permissions"):
        for right in ("write", "read"):
            users.setdefault(row["user"], {})[row["exchange"], right] = row[right]
    return users


def _wanted(ward: Ward) -> Mapping[str, Mapping[tuple[str, str], str]]:
    document: Mapping[str, Any] = definitions(
        allowed_rows(ward.agents, catalogue=ward.catalogue), observers=(CONSOLE,), passwords={ADMIN: ""}
    ).document
    wanted: dict[str, dict[tuple[str, str], str]] = {}
    for row in document["permissions"]:
        for right in ("configure", "write", "read"):
            wanted.setdefault(row["user"], {})["", right] = row[right]
    for row in document["topic_permissions"]:
        for right in ("write", "read"):
            wanted.setdefault(row["user"], {})[row["exchange"], right] = row[right]
    return wanted


class _Universe:
    """Every name that a pattern could be about."""

    def __init__(self, ward: Ward) -> None:
        own = [f"{prefix(name)}1" for name in ward.agents for prefix in (reply_prefix, observer_prefix)]
        queues = [*ward.agents, *map(parking_queue, ward.agents), *own]
        receivers = [*ward.agents, ALL, "nobody", *(f"{reply_prefix(name)}1" for name in ward.agents)]
        types = sorted(message.declaration.type for message in ward.catalogue)
        self._resources = [*queues, MESSAGES, JOURNAL, PARKED, "", "amq.default", "amq.topic"]
        self._keys = [routing_key(receiver, type_) for receiver in receivers for type_ in types]

    def compare(
        self, name: str, has: Mapping[tuple[str, str], str], wanted: Mapping[str, Mapping[tuple[str, str], str]]
    ) -> list[Finding]:
        if ("", "read") not in has:
            return [Finding.failed(name, "may not enter this virtual host", _ADVICE)]
        findings = []
        for (exchange, right), pattern in wanted.get(name, {}).items():
            names: Sequence[str] = self._keys if exchange else self._resources
            # Without a row of its own a topic exchange is open to everybody.
            present = has.get((exchange, right), ".*")
            try:
                allowed, meant = _reach(present, names), _reach(pattern, names)
            except re.error:
                findings.append(Finding.unknown(name, f"its {right} pattern cannot be read", _ADVICE))
                continue
            where = f"{right} {exchange or 'queues and exchanges'}"
            if missing := meant - allowed:
                findings.append(Finding.failed(name, f"may not {where}: {_some(missing)}", _ADVICE))
            if (extra := allowed - meant) and not _observes(name, exchange, right):
                findings.append(Finding.warning(name, f"may {where} beyond the catalogue: {_some(extra)}", _ADVICE))
        return findings


def _observes(name: str, exchange: str, right: str) -> bool:
    """Return whether more is meant by somebody: whoever may see copies of everything is not the catalogue's to say."""
    return right == "read" and (exchange == JOURNAL or name == CONSOLE)


def _reach(pattern: str, names: Iterable[str]) -> set[str]:
    """Return what the broker would allow: it searches, so that only anchors make a pattern exact."""
    if pattern == "":
        return set()
    compiled = re.compile(pattern)
    return {name for name in names if compiled.search(name)}


def _some(names: set[str]) -> str:
    shown = sorted(name or "the default exchange" for name in names)
    rest = f" and {len(shown) - _NAMED} more" if len(shown) > _NAMED else ""
    return ", ".join(shown[:_NAMED]) + rest
