"""A person's decision, judged by a real coordinator over the in-memory bus and seen in its store."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agents.cli.coordinating import AUTHOR, ISSUE, TOPOLOGY, Coordinating, coordinating
from interlock.agents.cli.decision import DecisionRefusedError, decide
from interlock.bus.clock import SystemClock, VirtualClock
from interlock.bus.errors import DeadlineExceededError
from interlock.bus.memory import MemoryBroker
from interlock.bus.store.reading import StoreReader
from interlock.bus.store.records import ApprovalRow, ApprovalState
from interlock.bus.transport import Transport
from interlock.protocol.ids import conversation_of, new_id
from interlock.protocol.messages.approval import ApprovalDenied, ApprovalGranted, ApprovalRequest
from interlock.protocol.roles import CONSOLE


class Desk:
    """A person at the console, beside a coordinator whose clock stands still."""

    def __init__(self, broker: MemoryBroker, reader: StoreReader, coordinator: Coordinating) -> None:
        self.broker = broker
        self.reader = reader
        self.coordinator = coordinator

    async def say(self, verdict: ApprovalGranted | ApprovalDenied, *, timeout: float = 10.0) -> ApprovalRow:
        transport: Transport = self.broker.connect(CONSOLE)
        try:
            return await decide(
                verdict,
                conversation_id=conversation_of(ISSUE),
                transport=transport,
                reader=self.reader,
                clock=SystemClock(),
                timeout=timeout,
            )
        finally:
            await transport.aclose()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(datetime.now(UTC))


@asynccontextmanager
async def opened(tmp_path: Path, clock: VirtualClock) -> AsyncGenerator[Desk]:
    broker = MemoryBroker()
    broker.declare(TOPOLOGY)

    async def connect(identity: str) -> Transport:
        return broker.connect(identity)

    async with coordinating(connect, state_dir=tmp_path, clock=clock) as coordinator:
        with StoreReader.open(tmp_path / "coordinator.sqlite") as reader:
            yield Desk(broker, reader, coordinator)


def yes(asked: ApprovalRequest, person: str = "alice", *, digest: str | None = None) -> ApprovalGranted:
    return ApprovalGranted(
        approval_id=asked.approval_id, subject=asked.subject, digest=digest or asked.digest, approver=person
    )


async def test_a_grant_is_used_at_once(tmp_path: Path, clock: VirtualClock) -> None:
    async with opened(tmp_path, clock) as desk:
        row = await desk.say(yes(await desk.coordinator.ask_for_budget()))
    assert (row.state, row.approver) == (ApprovalState.USED, "alice")


async def test_a_denial_is_kept_with_its_reason(tmp_path: Path, clock: VirtualClock) -> None:
    async with opened(tmp_path, clock) as desk:
        asked = await desk.coordinator.ask_for_budget()
        row = await desk.say(
            ApprovalDenied(
                approval_id=asked.approval_id,
                subject=asked.subject,
                digest=asked.digest,
                approver="alice",
                reason="too dear",
            )
        )
    assert (row.state, row.approver, row.reason) == (ApprovalState.DENIED, "alice", "too dear")


@pytest.mark.parametrize(
    ("person", "digest", "code"),
    [
        (AUTHOR, None, "own_change"),
        ("release-lead", None, "own_change"),
        ("devops-agent", None, "not_a_person"),
        ("alice", f"sha256:{'b' * 64}", "other_digest"),
    ],
)
async def test_a_decision_that_does_not_count_is_refused_and_on_record(
    tmp_path: Path, clock: VirtualClock, person: str, digest: str | None, code: str
) -> None:
    async with opened(tmp_path, clock) as desk:
        asked = await desk.coordinator.ask_for_budget()
        with pytest.raises(DecisionRefusedError, match=code) as caught:
            await desk.say(yes(asked, person, digest=digest))
        assert caught.value.code == code
        refused = [line for line in desk.reader.audit() if line.entry.action == "approval_refused"]
        row = desk.reader.approval(asked.approval_id)
    assert [line.entry.details["code"] for line in refused] == [code]
    assert row is not None
    assert row.state is ApprovalState.OPEN


@pytest.mark.parametrize("person", ["alice", "bob"])
async def test_an_approval_is_used_once(tmp_path: Path, clock: VirtualClock, person: str) -> None:
    async with opened(tmp_path, clock) as desk:
        asked = await desk.coordinator.ask_for_budget()
        await desk.say(yes(asked))
        with pytest.raises(DecisionRefusedError, match="already_used"):
            await desk.say(yes(asked, person))


async def test_an_approval_whose_time_has_passed_is_refused(tmp_path: Path, clock: VirtualClock) -> None:
    async with opened(tmp_path, clock) as desk:
        asked = await desk.coordinator.ask_for_budget()
        await clock.advance(31 * 60)
        with pytest.raises(DecisionRefusedError, match=r"already_void|expired"):
            await desk.say(yes(asked))


async def test_a_change_that_has_ended_waits_for_nothing(tmp_path: Path, clock: VirtualClock) -> None:
    async with opened(tmp_path, clock) as desk:
        asked = await desk.coordinator.ask_for_budget()
        await desk.coordinator.cancel()
        with pytest.raises(DecisionRefusedError, match=r"not_awaited|already_void"):
            await desk.say(yes(asked))


async def test_an_unknown_approval_is_refused(tmp_path: Path, clock: VirtualClock) -> None:
    async with opened(tmp_path, clock) as desk:
        asked = await desk.coordinator.ask_for_budget()
        with pytest.raises(DecisionRefusedError, match="unknown_approval"):
            await desk.say(yes(asked.model_copy(update={"approval_id": new_id()})))


async def test_a_coordinator_that_is_away_is_told_after_the_timeout(tmp_path: Path, clock: VirtualClock) -> None:
    async with opened(tmp_path, clock) as desk:
        asked = await desk.coordinator.ask_for_budget()
    with StoreReader.open(tmp_path / "coordinator.sqlite") as reader:
        left = Desk(desk.broker, reader, desk.coordinator)
        with pytest.raises(DeadlineExceededError, match="coordinator did not answer"):
            await left.say(yes(asked), timeout=0.2)
