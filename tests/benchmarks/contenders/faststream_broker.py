"""FastStream's RabbitMQ broker, its messages validated by pydantic as it does by itself."""

from __future__ import annotations

import asyncio

from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

from benchmarks.contenders.common import (
    ANSWER,
    EVENT,
    OTHER_URL,
    PREFETCH,
    QUEUE,
    Event,
    Latencies,
    Measurement,
    at_pace,
    count_down,
    in_tasks,
    run,
    warm_up,
)
from interlock.protocol.messages.handoff import InfrastructureAcknowledged


def _queue() -> RabbitQueue:
    return RabbitQueue(QUEUE, queue_type=QueueType.QUORUM, durable=True)


async def publish(url: str, count: int, in_flight: int) -> None:
    """Publish, at most `in_flight` unconfirmed."""
    async with RabbitBroker(url, logger=None, default_channel=Channel(on_return_raises=True)) as broker:

        async def one() -> None:
            await broker.publish(EVENT, QUEUE, persist=True, mandatory=True)

        warm = warm_up(count)
        await in_tasks(one, warm, min(in_flight, warm))
        measurement = Measurement(count - warm)
        await in_tasks(one, count - warm, in_flight)
        measurement.finish()


async def consume(url: str, count: int, _: int) -> None:
    """Handle each; FastStream acknowledges it afterwards."""
    broker = RabbitBroker(url, logger=None, graceful_timeout=15.0, default_channel=Channel(prefetch_count=PREFETCH))
    done = asyncio.Event()
    arrived = count_down(count, done.set)

    @broker.subscriber(_queue())
    async def handle(_event: Event) -> None:
        arrived()

    async with broker:
        measurement = Measurement(count)
        await broker.start()
        await done.wait()
        measurement.finish()


async def latency(url: str, count: int, per_second: int) -> None:
    """Publish at a pace, and time each until it was handled, over two connections."""
    receiver = RabbitBroker(
        OTHER_URL, logger=None, graceful_timeout=15.0, default_channel=Channel(prefetch_count=PREFETCH)
    )
    sender = RabbitBroker(url, logger=None, default_channel=Channel(on_return_raises=True))
    done, latencies = asyncio.Event(), Latencies()
    arrived = count_down(count, done.set)

    @receiver.subscriber(_queue())
    async def handle(_event: Event) -> None:
        latencies.arrived()
        arrived()

    async def one() -> None:
        latencies.sent()
        await sender.publish(EVENT, QUEUE, persist=True, mandatory=True)

    async with sender, receiver:
        await receiver.start()
        measurement = Measurement(count)
        await at_pace(one, count, per_second)
        await done.wait()
        measurement.finish(**latencies.figures())


async def request(url: str, count: int, in_flight: int) -> None:
    """Ask over one connection, answer over another, by its own `request`."""
    receiver = RabbitBroker(
        OTHER_URL, logger=None, graceful_timeout=15.0, default_channel=Channel(prefetch_count=PREFETCH)
    )
    sender = RabbitBroker(url, logger=None, default_channel=Channel(on_return_raises=True))

    @receiver.subscriber(_queue())
    async def handle(_event: Event) -> InfrastructureAcknowledged:
        return ANSWER

    async def one() -> None:
        answer = await sender.request(EVENT, QUEUE, persist=True, mandatory=True, timeout=60.0)
        InfrastructureAcknowledged.model_validate_json(answer.body)

    async with sender, receiver:
        await receiver.start()
        await in_tasks(one, min(count, 100), min(in_flight, 100))
        measurement = Measurement(count)
        await in_tasks(one, count, in_flight)
        measurement.finish()


if __name__ == "__main__":
    run(publish=publish, consume=consume, latency=latency, request=request)
