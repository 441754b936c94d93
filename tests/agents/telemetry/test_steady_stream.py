"""What is measured and traced for every message leaves nothing behind: no memory grows with their number."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import anyio
import anyio.lowlevel

from agents.at_work import AGENT, CATALOGUE, PEER, Note
from interlock.agents.telemetry.opening import open_telemetry
from interlock.agents.telemetry.settings import TelemetrySettings
from interlock.bus.bus import Bus
from interlock.bus.clock import SystemClock
from interlock.bus.memory import MemoryBroker
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message

JOURNAL = 10_000
"""Copies that a broker in memory keeps: until then it is what grows."""
MESSAGES = 5_000
NOISE = 2_500
"""Blocks of memory: pydantic's cache of strings fills up to 16,384. One for each message would be 5,000."""


async def test_a_steady_stream_of_messages_leaves_memory_flat(tmp_path: Path) -> None:
    broker, clock = MemoryBroker(), SystemClock()
    broker.declare(Topology((AgentQueue(AGENT),)))
    settings = TelemetrySettings(traces=str(tmp_path / "trace"), sample_ratio=0.01, metrics="prometheus")
    async with (
        open_telemetry(settings, agent=AGENT, version="1.2.3", system="memory", clock=clock) as opened,
        anyio.create_task_group() as tasks,
    ):
        sender, receiver = (
            Bus(broker.connect(name), clock=clock, catalogue=CATALOGUE, telemetry=opened.telemetry)
            for name in (PEER, AGENT)
        )
        handled = 0

        async def handle(_: Envelope[Message]) -> None:
            nonlocal handled
            handled += 1

        async def stream(count: int) -> int:
            """Return how many blocks of memory are in use once so many more messages have been handled."""
            until = handled + count
            for _ in range(count):
                await sender.publish(Note(text="as ever"), to=AGENT)
            while handled < until:
                await anyio.lowlevel.checkpoint()
            gc.collect()
            return sys.getallocatedblocks()

        tasks.start_soon(receiver.subscribe, handle)
        before = await stream(JOURNAL)
        assert await stream(MESSAGES) - before < NOISE
        tasks.cancel_scope.cancel()

    meters = opened.telemetry.meters
    assert meters is not None
    counted = [sum(tally.count for tally in durations.read().values()) for durations in meters.durations]
    assert counted == [JOURNAL + MESSAGES] * 2
