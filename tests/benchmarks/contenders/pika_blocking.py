"""pika's BlockingConnection: one publish at a time, deliveries in one thread."""

from __future__ import annotations

import pika

from benchmarks.contenders.common import EVENT, PREFETCH, QUEUE, Event, Measurement, run


def publish(url: str, count: int, _: int) -> None:
    """Publish, each confirmed before the next."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    properties = pika.BasicProperties(delivery_mode=2, content_type="application/json")
    measurement = Measurement(count)
    for _ in range(count):
        body = EVENT.model_dump_json(by_alias=True, exclude_none=True).encode()
        channel.basic_publish("", QUEUE, body, properties, mandatory=True)
    measurement.finish()
    connection.close()


def consume(url: str, count: int, _: int) -> None:
    """Validate and acknowledge each."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.basic_qos(prefetch_count=PREFETCH)
    measurement = Measurement(count)
    for number, (method, _, body) in enumerate(channel.consume(QUEUE), 1):
        Event.model_validate_json(body)
        channel.basic_ack(method.delivery_tag)
        if number == count:
            break
    measurement.finish()
    channel.cancel()
    connection.close()


if __name__ == "__main__":
    run(publish=publish, consume=consume)
