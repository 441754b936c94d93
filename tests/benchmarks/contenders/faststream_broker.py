"""FastStream's RabbitMQ broker, its messages validated by pydantic as it does by itself."""

from __future__ import annotations

import asyncio

from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

from benchmarks.contenders.common import EVENT, PREFETCH, QUEUE, Event, Measurement, count_down, in_tasks, run


def _queue() -> RabbitQueue:
    return RabbitQueue(QUEUE, queue_type=QueueType.QUORUM, durable=True)


async def publish(url: str, count: int, in_flight: int) -> None:
    """Publish, at most `in_flight` unconfirmed."""
    async with RabbitBroker(url, logger=None, default_channel=Channel(on_return_raises=True)) as broker:

        async def one() -> None:
            await broker.publish(EVENT, QUEUE, persist=True, mandatory=True)

        await in_tasks(one, min(count, 500), min(in_flight, 500))
        measurement = Measurement(count)
        await in_tasks(one, count, in_flight)
        measurement.finish()


async def consume(url: str, count: int, _: int) -> None:
    """Handle each; FastStream acknowledges it afterwards."""
    broker = RabbitBroker(url, logger=None, default_channel=Channel(prefetch_count=PREFETCH))
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


if __name__ == "__main__":
    run(publish=publish, consume=consume)
