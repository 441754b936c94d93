"""Interlock's bus: typed messages out, validated and vouched for in, without a journal, as nobody else keeps one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from benchmarks.contenders.common import (
    ANSWER,
    CATALOGUE,
    MESSAGE,
    OTHER_URL,
    PREFETCH,
    RECEIVER,
    Latencies,
    Measurement,
    at_pace,
    count_down,
    in_tasks,
    run,
    warm_up,
)
from interlock.bus.bus import Bus, Handler
from interlock.bus.clock import SystemClock
from interlock.bus.rabbitmq import RabbitTransport
from interlock.bus.rabbitmq.connection import Client
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message

CLIENT: Client = "aiormq" if os.environ.get("BENCH_CLIENT") == "aiormq" else "tap"
JOURNAL = os.environ.get("BENCH_JOURNAL") == "on"


@asynccontextmanager
async def _bus(url: str, identity: str) -> AsyncGenerator[Bus]:
    transport = await RabbitTransport.connect(url, identity=identity, journal=JOURNAL, client=CLIENT)
    bus = Bus(transport, clock=SystemClock(), catalogue=CATALOGUE)
    try:
        yield bus
    finally:
        await bus.aclose()
        await transport.aclose()


@asynccontextmanager
async def _handling(bus: Bus, handler: Handler) -> AsyncGenerator[None]:
    subscription = asyncio.create_task(bus.subscribe(handler, prefetch=PREFETCH))
    try:
        yield
    finally:
        subscription.cancel()
        with suppress(asyncio.CancelledError):
            await subscription


async def publish(url: str, count: int, in_flight: int) -> None:
    """Publish, at most `in_flight` unconfirmed."""
    async with _bus(url, "devops-agent") as bus:

        async def one() -> None:
            await bus.publish(MESSAGE, to=RECEIVER, timeout=60.0)

        warm = warm_up(count)
        await in_tasks(one, warm, min(in_flight, warm))
        measurement = Measurement(count - warm)
        await in_tasks(one, count - warm, in_flight)
        measurement.finish()


async def consume(url: str, count: int, _: int) -> None:
    """Handle and acknowledge each, in order."""
    done = asyncio.Event()
    arrived = count_down(count, done.set)

    async def handle(_envelope: Envelope[Message]) -> None:
        arrived()

    async with _bus(url, RECEIVER) as bus:
        measurement = Measurement(count)
        async with _handling(bus, handle):
            await done.wait()
            measurement.finish()


async def latency(url: str, count: int, per_second: int) -> None:
    """Publish at a pace, and time each until it was handled, over two connections."""
    done, latencies = asyncio.Event(), Latencies()
    arrived = count_down(count, done.set)

    async def handle(_envelope: Envelope[Message]) -> None:
        latencies.arrived()
        arrived()

    async with _bus(url, "devops-agent") as sender, _bus(OTHER_URL, RECEIVER) as receiver:

        async def one() -> None:
            latencies.sent()
            await sender.publish(MESSAGE, to=RECEIVER, timeout=60.0)

        async with _handling(receiver, handle):
            measurement = Measurement(count)
            await at_pace(one, count, per_second)
            await done.wait()
            measurement.finish(**latencies.figures())


async def request(url: str, count: int, in_flight: int) -> None:
    """Ask over one connection, answer over another."""

    async def answer(_envelope: Envelope[Message]) -> Message:
        return ANSWER

    async with _bus(url, "devops-agent") as sender, _bus(OTHER_URL, RECEIVER) as receiver:

        async def one() -> None:
            await sender.request(MESSAGE, to=RECEIVER, timeout=60.0)

        async with _handling(receiver, answer):
            await in_tasks(one, min(count, 100), min(in_flight, 100))
            measurement = Measurement(count)
            await in_tasks(one, count, in_flight)
            measurement.finish()


if __name__ == "__main__":
    run(publish=publish, consume=consume, latency=latency, request=request)
