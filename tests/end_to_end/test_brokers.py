"""The same ticket over the memory bus and over RabbitMQ: every agent says the same things."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import pytest

from end_to_end.demonstration import Demonstration, demonstrate
from interlock.bus.private_broker import find_server
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.messages.handoff import InfrastructureAcknowledged, InfrastructureReady
from interlock.protocol.recording import normalised, read
from interlock.protocol.roles import TEAM

_RESOURCE = re.compile(r"\b((acl|sg|subnet|vpc)-[0-9a-f]{17})\b")
_SECRET_SUFFIX = re.compile(r"database/credentials(-\w{6})\b")

pytestmark = [pytest.mark.slow, pytest.mark.rabbitmq]


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


def recorded(ended: Demonstration) -> Recording:
    assert ended.ran.returncode == 0, ended.ran.stderr.decode()
    return read((ended.report / "conversation.jsonl").read_bytes())


@pytest.fixture(scope="module")
async def over_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    if find_server() is None:
        pytest.fail("no rabbitmq-server: `make test` installs it")
    return await demonstrate(tmp_path_factory.mktemp("rabbitmq"), broker="private")


async def test_over_rabbitmq_every_agent_is_a_process_of_its_own(over_rabbitmq: Demonstration) -> None:
    document = over_rabbitmq.document

    assert set(document["processes"]) >= set(TEAM)
    assert len({document["processes"][name] for name in TEAM}) == len(TEAM)
    assert document["broker"]["kind"] == "private"
    assert re.search(r"\d+\.\d+", document["broker"]["version"])


async def test_memory_and_rabbitmq_carry_the_same_messages(
    over_memory: Demonstration, over_rabbitmq: Demonstration
) -> None:
    assert exchanges(recorded(over_memory)) == exchanges(recorded(over_rabbitmq))
