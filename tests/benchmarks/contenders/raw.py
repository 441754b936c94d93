"""aio-pika as its documentation uses it."""

from __future__ import annotations

import asyncio
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

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
from interlock.protocol.ids import new_id
from interlock.protocol.messages.handoff import InfrastructureAcknowledged


def _message(**more: Any) -> aio_pika.Message:
    body = EVENT.model_dump_json(by_alias=True, exclude_none=True).encode()
    return aio_pika.Message(body, delivery_mode=2, content_type="application/json", **more)


async def publish(url: str, count: int, in_flight: int) -> None:
    """Publish, at most `in_flight` unconfirmed."""
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel(on_return_raises=True)

        async def one() -> None:
            await channel.default_exchange.publish(_message(), QUEUE, mandatory=True)

        warm = warm_up(count)
        await in_tasks(one, warm, min(in_flight, warm))
        measurement = Measurement(count - warm)
        await in_tasks(one, count - warm, in_flight)
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


async def latency(url: str, count: int, per_second: int) -> None:
    """Publish at a pace, and time each until it was handled, over two connections."""
    async with await aio_pika.connect(url) as outbound, await aio_pika.connect(OTHER_URL) as inbound:
        publishing = await outbound.channel(on_return_raises=True)
        consuming = await inbound.channel()
        await consuming.set_qos(prefetch_count=PREFETCH)
        done, latencies = asyncio.Event(), Latencies()
        arrived = count_down(count, done.set)

        async def receive(message: AbstractIncomingMessage) -> None:
            Event.model_validate_json(message.body)
            latencies.arrived()
            await message.ack()
            arrived()

        async def one() -> None:
            latencies.sent()
            await publishing.default_exchange.publish(_message(), QUEUE, mandatory=True)

        await (await consuming.get_queue(QUEUE)).consume(receive)
        measurement = Measurement(count)
        await at_pace(one, count, per_second)
        await done.wait()
        measurement.finish(**latencies.figures())


async def request(url: str, count: int, in_flight: int) -> None:
    """Ask over one connection, answer over another; answers come to a queue of the asker's own."""
    async with await aio_pika.connect(url) as asking, await aio_pika.connect(OTHER_URL) as answering:
        out, back = await asking.channel(on_return_raises=True), await answering.channel(on_return_raises=True)
        await back.set_qos(prefetch_count=PREFETCH)
        own = await out.declare_queue(exclusive=True)
        waiting: dict[str, asyncio.Future[InfrastructureAcknowledged]] = {}

        async def answer(message: AbstractIncomingMessage) -> None:
            Event.model_validate_json(message.body)
            body = ANSWER.model_dump_json(by_alias=True).encode()
            reply = aio_pika.Message(body, correlation_id=message.correlation_id, content_type="application/json")
            await back.default_exchange.publish(reply, message.reply_to or "", mandatory=True)
            await message.ack()

        async def answered(message: AbstractIncomingMessage) -> None:
            waiting.pop(message.correlation_id or "").set_result(
                InfrastructureAcknowledged.model_validate_json(message.body)
            )

        async def one() -> None:
            key = new_id()
            waiting[key] = asyncio.get_running_loop().create_future()
            future = waiting[key]
            asked = _message(correlation_id=key, reply_to=own.name)
            await out.default_exchange.publish(asked, QUEUE, mandatory=True)
            await future

        await (await back.get_queue(QUEUE)).consume(answer)
        await own.consume(answered, no_ack=True)
        await in_tasks(one, min(count, 100), min(in_flight, 100))
        measurement = Measurement(count)
        await in_tasks(one, count, in_flight)
        measurement.finish()


if __name__ == "__main__":
    run(publish=publish, consume=consume, latency=latency, request=request)
