"""The memory bus beside FastStream's TestRabbitBroker: publish a pydantic message to a handler that gets it validated.

Both take turns within every round; what counts is the median of the ratios. The clock is the process's CPU time: both
are one process that never waits. Run: `python tests/benchmarks/memory.py [--rounds 5] [--json]`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time

from faststream.rabbit import RabbitBroker, TestRabbitBroker
from pydantic import BaseModel

from interlock.bus.bus import Bus
from interlock.bus.clock import SystemClock
from interlock.bus.memory import MemoryBroker
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message
from interlock.protocol.messages.task import TaskFailed

OURS, THEIRS = 5_000, 500
"""Messages per round; a rate needs fewer of the slower."""


class Failed(BaseModel):
    """The same payload, as FastStream's users would declare it."""

    code: str
    reason: str
    retryable: bool = False
    outcome: str = "failed"


async def interlock(count: int) -> float:
    """Return messages per second of CPU, each encoded, checked against its route, validated and acknowledged."""
    broker, clock = MemoryBroker(), SystemClock()
    broker.declare(Topology((AgentQueue("qa-agent"), AgentQueue("devops-agent"))))
    sender, receiver = (Bus(broker.connect(agent), clock=clock) for agent in ("qa-agent", "devops-agent"))
    received, finished = 0, asyncio.Event()

    async def handle(_: Envelope[Message]) -> None:
        nonlocal received
        received += 1
        if received == count:
            finished.set()

    subscription = asyncio.create_task(receiver.subscribe(handle))
    message = TaskFailed(code="timeout", reason="no answer")
    begun = time.process_time()
    for _ in range(count):
        await sender.publish(message, to="devops-agent")
    await finished.wait()
    taken = time.process_time() - begun
    subscription.cancel()
    await asyncio.wait([subscription])
    return count / taken


async def faststream(count: int) -> float:
    """Return messages per second of CPU through its broker for tests."""
    broker = RabbitBroker()
    received = 0

    @broker.subscriber("failed")
    async def handle(_: Failed) -> None:
        nonlocal received
        received += 1

    async with TestRabbitBroker(broker):
        message = Failed(code="timeout", reason="no answer")
        begun = time.process_time()
        for _ in range(count):
            await broker.publish(message, "failed")
        taken = time.process_time() - begun
    if received != count:
        raise RuntimeError(f"{received} of {count} messages arrived")
    return count / taken


async def measure(rounds: int) -> list[tuple[float, float]]:
    """Return both rates of each round; one further round warms up."""
    return [(await interlock(OURS), await faststream(THEIRS)) for _ in range(rounds + 1)][1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    measured = asyncio.run(measure(options.rounds))
    result = {
        "interlock": round(statistics.median(ours for ours, _ in measured)),
        "faststream": round(statistics.median(theirs for _, theirs in measured)),
        "ratio": round(statistics.median(ours / theirs for ours, theirs in measured), 1),
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{'interlock':>12}{'faststream':>12}{'ratio':>8}")
        print(f"{result['interlock']:12}{result['faststream']:12}{result['ratio']:8}")


if __name__ == "__main__":
    main()
