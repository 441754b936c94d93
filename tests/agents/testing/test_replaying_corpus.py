"""Every recorded conversation ends the same for the coordinator, on memory and over RabbitMQ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlock.agents.coordinator import coordinator
from interlock.agents.coordinator.data import ChangeData
from interlock.agents.testing import BrokerForTests, BusTester, MemoryForTests, Replay, ReplayRecording
from interlock.agents.testing.bus_tester import ToldClock
from interlock.protocol.recording import normalised, read
from interlock.protocol.roles import COORDINATOR

CORPUS = Path(__file__).parents[2] / "recordings"
NAMES = sorted(path.stem for path in CORPUS.glob("*.jsonl"))

ENDS = {
    "accepted": "done",
    "accepted-within-budget": "done",
    "apply-unknown": "done",
    "approval-asked-again": "declined",
    "approval-expired": "expired",
    "asked-many-times": "done",
    "backend-declined": "declined",
    "budget-denied": "declined",
    "cancelled": "declined",
    "contradiction": "done",
    "drift-new-approval": "done",
    "environment-incomplete": "failed",
    "input-required": "done",
    "plan-denied": "declined",
    "qa-declined": "declined",
    "security-rejected": "declined",
    "unsupported-engine": "declined",
    "wrong-approvals": "done",
}
"""The state in which each conversation's workflow ends."""


def test_the_corpus_is_complete() -> None:
    assert set(NAMES) == set(ENDS)


@pytest.mark.parametrize("name", NAMES)
async def test_the_coordinator_says_what_was_recorded(name: str, replay: ReplayRecording) -> None:
    subject = await replay(coordinator(), CORPUS / f"{name}.jsonl")

    (row,) = await subject.store.workflows()
    assert (row.status, row.ended) == (ENDS[name], True)


@pytest.mark.rabbitmq
@pytest.mark.parametrize("name", NAMES)
async def test_a_conversation_has_the_same_outcome_over_memory_and_rabbitmq(name: str, bus: BrokerForTests) -> None:
    memory = MemoryForTests()
    over_memory, over_rabbitmq = await outcome(name, memory), await outcome(name, bus)
    await memory.aclose()

    assert bus.kind == "rabbitmq"
    assert over_rabbitmq == over_memory
    assert over_rabbitmq["state"] == ENDS[name]


async def outcome(name: str, broker: BrokerForTests) -> dict[str, Any]:
    """Replay the real runtime behind a broker, and return what it said and remembers."""
    recording = read((CORPUS / f"{name}.jsonl").read_bytes())
    replayed = Replay(recording, agent=COORDINATOR, name=name)
    peers = {envelope.sender for envelope in recording} | {envelope.receiver for envelope in recording}
    clock = ToldClock(recording[0].sent_at)
    async with BusTester(coordinator(), broker=broker, peers=peers, clock=clock) as subject:
        await replayed.run(subject)
        (row,) = await subject.store.workflows()
    assert replayed.differences() == ""
    return {
        "said": normalised(subject.sent),
        "state": row.status,
        "steps": row.version,
        "data": ChangeData.model_validate_json(row.state),
    }
