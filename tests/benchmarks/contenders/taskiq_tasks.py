"""Taskiq over aio-pika: a task per message, in a quorum queue. It knows no mandatory flag."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from taskiq.api import run_receiver_task
from taskiq_aio_pika import AioPikaBroker, Queue, QueueType

from benchmarks.contenders.common import EVENT, PREFETCH, Event, Measurement, count_down, in_tasks, run


def _broker(url: str) -> AioPikaBroker:
    queue = Queue(name="bench-taskiq", type=QueueType.QUORUM)
    return AioPikaBroker(url, qos=PREFETCH, task_queues=[queue])


async def publish(url: str, count: int, in_flight: int) -> None:
    """Publish, at most `in_flight` unconfirmed."""
    broker = _broker(url)

    @broker.task(task_name="event")
    async def event(_event: Event) -> None: ...

    await broker.startup()
    measurement = Measurement(count)
    await in_tasks(lambda: event.kiq(EVENT), count, in_flight)
    measurement.finish()
    await broker.shutdown()


async def consume(url: str, count: int, _: int) -> None:
    """Handle each; it is acknowledged afterwards."""
    broker = _broker(url)
    done = asyncio.Event()
    arrived = count_down(count, done.set)

    @broker.task(task_name="event")
    async def handle(_event: Event) -> None:
        arrived()

    broker.is_worker_process = True
    await broker.startup()
    measurement = Measurement(count)
    receiver = asyncio.create_task(run_receiver_task(broker))
    await done.wait()
    measurement.finish()
    receiver.cancel()
    with suppress(asyncio.CancelledError):
        await receiver
    await broker.shutdown()


if __name__ == "__main__":
    run(publish=publish, consume=consume)
