"""Conversations of two runs made comparable: what peers say at the same time has no order of its own."""

from __future__ import annotations

__all__ = ["Recording", "exchanges", "shape"]

import json
import re
from collections.abc import Sequence
from typing import Any

from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.messages.handoff import InfrastructureAcknowledged, InfrastructureReady
from interlock.protocol.recording import normalised

_RESOURCE = re.compile(r"\b((acl|sg|subnet|vpc)-[0-9a-f]{17})\b")
_SECRET_SUFFIX = re.compile(r"database/credentials(-\w{6})\b")

Recording = Sequence[Envelope[Any]]


def exchanges(record: Recording) -> dict[str, list[dict[str, Any]]]:
    """Return who said what to whom because of what, without what differs between two worlds.

    The peers answer at the same time, so what they say is put into an order of its own.
    """
    types = {envelope.id: envelope.type for envelope in record}
    chance = given_by_chance(record)
    said: dict[str, list[dict[str, Any]]] = {}
    for envelope in record:
        (message,) = normalised((envelope,), volatile=chance)
        payload = message["payload"]
        if "checks" in payload:
            payload["checks"].sort(key=checked)
        cause = types.get(envelope.causation_id or "", "nothing")
        address = f"{envelope.sender} -> {envelope.receiver}: {envelope.type}, because of {cause}"
        said.setdefault(address, []).append(payload)
    return {address: sorted(payloads, key=json.dumps) for address, payloads in said.items()}


def shape(record: Recording) -> dict[str, int]:
    """Return how often who said what to whom because of what; the same in every world that the team works in."""
    return {address: len(payloads) for address, payloads in exchanges(record).items()}


def given_by_chance(record: Recording) -> dict[str | int, str]:
    """Return the names, ports and versions that differ from one emulated account to the next."""
    whole = b"\n".join(encode(envelope) for envelope in record).decode()
    chance: dict[str | int, str] = {name: f"<{kind}>" for name, kind in _RESOURCE.findall(whole)}
    chance |= dict.fromkeys(_SECRET_SUFFIX.findall(whole), "<suffix>")
    for envelope in record:
        match envelope.payload:
            case InfrastructureReady(connection=connection):
                chance |= {connection.port: "<port>", f":{connection.port}": ":<port>"}
            case InfrastructureAcknowledged(config_version=version):
                chance[version] = "<version>"
            case _:
                pass
    return chance


def checked(check: dict[str, Any]) -> str:
    return str(check["id"])
