"""Celery: a task per message, confirmed, in a quorum queue; its worker has one process. It knows no mandatory flag."""

from __future__ import annotations

import os
import signal

from celery import Celery

from benchmarks.contenders.common import EVENT, PREFETCH, Event, Measurement, count_down, run


def _app(url: str) -> Celery:
    app = Celery("bench", broker=url)
    app.conf.update(
        task_default_queue="bench-celery",
        task_default_queue_type="quorum",
        worker_detect_quorum_queues=True,
        broker_transport_options={"confirm_publish": True},
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=PREFETCH,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
    )
    return app


def publish(url: str, count: int, _: int) -> None:
    """Publish, each confirmed before the next."""
    app = _app(url)

    @app.task(name="event")
    def event(_body: str) -> None: ...

    event.delay("{}")  # declares the queue
    measurement = Measurement(count)
    for _ in range(count):
        event.delay(EVENT.model_dump_json(by_alias=True, exclude_none=True))
    measurement.finish()


def consume(url: str, count: int, _: int) -> None:
    """Handle each in the worker's own process; it is acknowledged afterwards."""
    app = _app(url)
    measurement = Measurement(count)

    def done() -> None:
        measurement.finish()
        os.kill(os.getpid(), signal.SIGKILL)  # a worker's own way to end takes seconds

    arrived = count_down(count, done)

    @app.task(name="event")
    def event(body: str) -> None:
        if body != "{}":
            Event.model_validate_json(body)
        arrived()

    app.worker_main(
        ["worker", "-P", "solo", "-l", "error", "--without-gossip", "--without-mingle", "--without-heartbeat"]
    )


if __name__ == "__main__":
    run(publish=publish, consume=consume)
