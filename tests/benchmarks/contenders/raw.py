"""aio-pika as its documentation uses it."""

from __future__ import annotations

import asyncio

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from benchmarks.contenders.common import EVENT, PREFETCH, QUEUE, Event, Measurement, count_down, in_tasks, run


async def publish(url: str, count: int, in_flight: int) -> None:
    """Publish, at most `in_flight` unconfirmed."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)

        async def one() -> None:
            body = EVENT.model_dump_json(by_alias=True, exclude_none=True).encode()
            message = aio_pika.Message(body, delivery_mode=2, content_type="application/json")
            await channel.default_exchange.publish(message, QUEUE, mandatory=True)

        await in_tasks(one, min(count, 500), min(in_flight, 500))
        measurement = Measurement(count)
        await in_tasks(one, count, in_flight)
        measurement.finish()


async def consume(url: str, count: int, _: int) -> None:
    """Validate and acknowledge each."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(prefetch_count=PREFETCH)
        queue = await channel.get_queue(QUEUE)
        done = asyncio.Event()
        arrived = count_down(count, done.set)

        async def receive(message: AbstractIncomingMessage) -> None:
            Event.model_validate_json(message.body)
            await message.ack()
            arrived()

        measurement = Measurement(count)
        await queue.consume(receive)
        await done.wait()
        measurement.finish()


if __name__ == "__main__":
    run(publish=publish, consume=consume)
