"""The same ticket over the memory bus and over RabbitMQ: every agent says the same things."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from end_to_end.desk import Desk
from end_to_end.outside import FIXTURES
from interlock.agents.demo.record import Record
from interlock.agents.demo.stage import MemoryStage, RabbitStage
from interlock.agents.demo.world import World
from interlock.bus.private_broker import find_server
from interlock.protocol.envelope import Envelope
from interlock.protocol.recording import normalised
from interlock.protocol.roles import TEAM

pytestmark = [pytest.mark.slow, pytest.mark.rabbitmq]

ISSUE = "PROJ-140"


async def played(directory: Path, stage: type[MemoryStage] | type[RabbitStage]) -> Record:
    """Play the specification's ticket in a world of its own."""
    async with World(directory / "world", tickets=(FIXTURES / "proj-140.json",)) as world:
        async with stage(directory, settings=world.settings) as team, Desk.at(team) as desk:
            if isinstance(team, RabbitStage):
                assert len({team.processes[name] for name in TEAM}) == len(TEAM), "a process for each agent"
            return await desk.accept(ISSUE)


def exchanges(record: Record) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Return what each agent said to each other one, in order; who spoke first to different ears is chance."""
    said: dict[tuple[str, str], list[Envelope[Any]]] = {}
    for envelope in record.envelopes:
        said.setdefault((envelope.sender, envelope.receiver), []).append(envelope)
    return {pair: [spoken(message) for message in normalised(sequence, volatile=volatile(record))] for pair, sequence in said.items()}


def volatile(record: Record) -> dict[str | int, str]:
    """Return the ports and provider ids that a world is given by chance."""
    found: dict[str | int, str] = {}
    return found


def spoken(message: dict[str, Any]) -> dict[str, Any]:
    return message


def sorted_by_type(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(messages, key=lambda message: str(message["type"]))


async def test_memory_and_rabbitmq_carry_the_same_messages(tmp_path: Path) -> None:
    if find_server() is None:
        pytest.fail("no rabbitmq-server: `make test` installs it")

    over_memory = exchanges(await played(tmp_path / "memory", MemoryStage))
    over_rabbitmq = exchanges(await played(tmp_path / "rabbitmq", RabbitStage))

    assert over_memory.keys() == over_rabbitmq.keys()
    for pair, messages in over_memory.items():
        assert sorted_by_type(messages) == sorted_by_type(over_rabbitmq[pair]), pair
