"""What travels over a bus is kept while a recorder listens, and recordings are put in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio

from interlock.bus.memory import MemoryBroker
from interlock.bus.recorder import Recorder, recorded
from interlock.bus.transport import AgentQueue, Outgoing, Topology
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message
from interlock.protocol.messages.task import TaskCancelled, TaskProgress
from interlock.protocol.selection import Selection

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)


def progress(step: str, *, seconds: int = 0) -> Envelope[Message]:
    return Envelope.wrap(
        TaskProgress(step=step, percent=50),
        sender="devops-agent",
        receiver="coordinator",
        sent_at=NOW + timedelta(seconds=seconds),
    )


async def test_a_recorder_keeps_what_is_said_while_it_listens() -> None:
    broker = MemoryBroker()
    broker.declare(Topology((AgentQueue("coordinator"),)))
    devops = broker.connect("devops-agent")
    before, during, after = progress("before"), progress("during"), progress("after")
    await devops.publish(Outgoing.of(before))

    async with Recorder(broker.connect("recorder")) as recorder:
        await devops.publish(Outgoing.of(during))
        with anyio.fail_after(5):
            await recorder.heard(1)
    await devops.publish(Outgoing.of(after))

    assert recorder.envelopes() == (during,)
    assert recorder.envelopes(Selection.of(types=["task_failed"])) == ()


async def test_what_was_said_before_is_in_the_history() -> None:
    broker = MemoryBroker()
    broker.declare(Topology((AgentQueue("coordinator"),)))
    said = progress("planned")
    await broker.connect("devops-agent").publish(Outgoing.of(said))

    async with broker.connect("recorder").history() as entries:
        assert recorded([entry.body async for entry in entries]) == (said,)


def test_a_recording_is_in_order_without_doubles_and_without_what_is_no_message() -> None:
    first, second = progress("first"), progress("second", seconds=1)
    cancelled: Envelope[Message] = Envelope.wrap(
        TaskCancelled(reason="no"), sender="console", receiver="coordinator", sent_at=NOW
    )
    bodies = [encode(envelope) for envelope in (second, first, second, cancelled)]

    found = recorded([b"no message", *bodies], selection=Selection.of(types=["task_progress"]))

    assert found == (first, second)
