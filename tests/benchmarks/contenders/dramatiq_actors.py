"""Dramatiq: an actor per message, confirmed; eight threads. Its queues are classic, its publishes not mandatory."""

from __future__ import annotations

import threading

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.contenders.common import EVENT, Event, Measurement, count_down, run


def _broker(url: str) -> RabbitmqBroker:
    broker = RabbitmqBroker(url=url, confirm_delivery=True, middleware=[])
    dramatiq.set_broker(broker)
    return broker


def publish(url: str, count: int, _: int) -> None:
    """Publish, each confirmed before the next."""
    _broker(url)

    @dramatiq.actor(queue_name="bench-dramatiq")
    def event(_body: str) -> None: ...

    measurement = Measurement(count)
    for _ in range(count):
        event.send(EVENT.model_dump_json(by_alias=True, exclude_none=True))
    measurement.finish()


def consume(url: str, count: int, _: int) -> None:
    """Handle each; it is acknowledged afterwards."""
    broker = _broker(url)
    done = threading.Event()
    arrived = count_down(count, done.set)
    lock = threading.Lock()

    @dramatiq.actor(queue_name="bench-dramatiq")
    def event(body: str) -> None:
        Event.model_validate_json(body)
        with lock:
            arrived()

    worker = dramatiq.Worker(broker, worker_threads=8)
    measurement = Measurement(count)
    worker.start()
    done.wait()
    measurement.finish()
    worker.stop()


if __name__ == "__main__":
    run(publish=publish, consume=consume)
