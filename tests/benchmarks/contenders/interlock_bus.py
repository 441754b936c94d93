"""Interlock's bus: typed messages out, validated and vouched for in, without a journal, as nobody else keeps one."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress

from benchmarks.contenders.common import MESSAGE, PREFETCH, Measurement, count_down, in_tasks, run
from interlock.bus.bus import Bus
from interlock.bus.clock import SystemClock
from interlock.bus.rabbitmq import RabbitTransport
from interlock.bus.rabbitmq.connection import Client
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message

CLIENT: Client = "aiormq" if os.environ.get("BENCH_CLIENT") == "aiormq" else "tap"
JOURNAL = os.environ.get("BENCH_JOURNAL") == "on"


async def _connect(url: str, identity: str) -> RabbitTransport:
    return await RabbitTransport.connect(url, identity=identity, journal=JOURNAL, client=CLIENT)


async def publish(url: str, count: int, in_flight: int) -> None:
    """Publish, at most `in_flight` unconfirmed."""
    transport = await _connect(url, "devops-agent")
    bus = Bus(transport, clock=SystemClock())

    async def one() -> None:
        await bus.publish(MESSAGE, to="backend-agent", timeout=60.0)

    await in_tasks(one, min(count, 500), min(in_flight, 500))
    measurement = Measurement(count)
    await in_tasks(one, count, in_flight)
    measurement.finish()
    await transport.aclose()


async def consume(url: str, count: int, _: int) -> None:
    """Handle and acknowledge each, in order."""
    transport = await _connect(url, "backend-agent")
    bus = Bus(transport, clock=SystemClock())
    done = asyncio.Event()
    arrived = count_down(count, done.set)

    async def handle(_envelope: Envelope[Message]) -> None:
        arrived()

    measurement = Measurement(count)
    subscription = asyncio.create_task(bus.subscribe(handle, prefetch=PREFETCH))
    await done.wait()
    measurement.finish()
    subscription.cancel()
    with suppress(asyncio.CancelledError):
        await subscription
    await transport.aclose()


if __name__ == "__main__":
    run(publish=publish, consume=consume)
