"""What somebody may write beside a message that no client library would: the receiver's connection outlives it."""

from __future__ import annotations

import struct
from datetime import UTC, datetime

import aio_pika
import anyio
import pytest
from aio_pika.connection import make_url
from pamqp import encode

from bus.conftest import RabbitHarness
from bus.harness import DEADLINE, eventually, outgoing, take
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq.tap import frames
from interlock.bus.rabbitmq.tap.factory import TapFactory
from interlock.bus.rabbitmq.topology import JOURNAL, MESSAGES

pytestmark = pytest.mark.rabbitmq

NO_UTF8 = b"\xff\xfe"
SENDER = b"\x0balpha-agent"


def header(flags: int, *values: bytes) -> bytes:
    """Return the header of a body of two bytes; the values stand in the order of the flags, the sender last."""
    return struct.pack(">HHQH", 60, 0, 2, flags | frames.USER_ID) + b"".join(values) + SENDER


def forged_counts() -> bytes:
    entries = encode.field_table({"x-delivery-count": 40})[4:] + encode.field_table({"x-delivery-count": 41})[4:]
    return len(entries).to_bytes(4, "big") + entries


def table_of(name: bytes, value: bytes) -> bytes:
    entry = bytes((len(name),)) + name + value
    return len(entry).to_bytes(4, "big") + entry


def deep_table() -> bytes:
    value = b"V"
    for _ in range(3000):
        inner = b"\x01t" + value
        value = b"F" + len(inner).to_bytes(4, "big") + inner
    return value


HEADERS = {
    "a content type that is no text": header(frames.CONTENT_TYPE, b"\x02" + NO_UTF8),
    "a reply address that is no text": header(frames.REPLY_TO, b"\x02" + NO_UTF8),
    "a moment after the last year": header(frames.TIMESTAMP, b"\x7f" + b"\xff" * 7),
    "a header from after the last year": header(frames.HEADERS, table_of(b"x", b"T\x7f" + b"\xff" * 7)),
    "a header whose name is no text": header(frames.HEADERS, table_of(NO_UTF8, b"t\x01")),
    "a table in tables without end": header(frames.HEADERS, table_of(b"x", deep_table())),
    "flags that go on without any more": header(0b11),
    "two counts of attempts": header(frames.HEADERS, forged_counts()),
}


async def publish_raw(broker: PrivateBroker, *, exchange: str, routing_key: bytes, content_header: bytes) -> None:
    """Publish bytes as they are, and return once the broker has them."""
    connection = aio_pika.Connection(make_url(broker.url("alpha-agent")))
    tap = TapFactory()
    connection.kwargs["transport_factory"] = tap
    await connection.connect(timeout=DEADLINE)
    async with connection, connection.channel() as channel:
        number = (await channel.get_underlay_channel()).number
        name = exchange.encode()
        method = struct.pack(">HHH", 60, 40, 0) + bytes((len(name),)) + name
        method += bytes((len(routing_key),)) + routing_key + b"\x00"
        publish = frames.FRAME.pack(frames.METHOD, number, len(method)) + method + b"\xce"
        assert tap.stream is not None
        tap.stream.write((publish, *frames.content(number, content_header, b"{}", largest=100_000)), 0)
        await channel.set_qos(prefetch_count=1)  # the answer comes after the broker has taken the publish


@pytest.mark.parametrize("what", HEADERS)
async def test_a_message_with_hostile_properties_is_a_message_like_others(
    rabbit: RabbitHarness, rabbitmq: PrivateBroker, what: str
) -> None:
    await rabbit.declare("beta-agent")
    alpha, beta = await rabbit.connect("alpha-agent"), await rabbit.connect("beta-agent")
    await publish_raw(rabbitmq, exchange=MESSAGES, routing_key=b"beta-agent.ping", content_header=HEADERS[what])
    await alpha.publish(outgoing(b"[]"))
    async with beta.consume() as deliveries:
        [hostile] = await take(deliveries, ack=False)
        assert (hostile.body, hostile.sender, hostile.attempt) == (b"{}", "alpha-agent", 1)
        assert hostile.content_type in {None, "\ufffd\ufffd"}
        assert hostile.reply_to in {None, "\ufffd\ufffd"}
        await hostile.requeue()
        again, other = sorted(await take(deliveries, 2, ack=False), key=lambda delivery: delivery.body, reverse=True)
        assert (again.body, again.attempt) == (b"{}", 2)
        assert other.body == b"[]"
        await again.ack()
        await other.ack()
    assert beta.status.reconnects == 0


@pytest.mark.parametrize("what", HEADERS)
async def test_one_hostile_message_closes_neither_the_parking_queue_nor_the_journal(
    rabbit: RabbitHarness, rabbitmq: PrivateBroker, what: str
) -> None:
    await rabbit.declare("beta-agent")
    alpha, beta = await rabbit.connect("alpha-agent"), await rabbit.connect("beta-agent")
    since = datetime.now(UTC)
    await publish_raw(rabbitmq, exchange=JOURNAL, routing_key=b"beta-agent.ping", content_header=HEADERS[what])
    await publish_raw(rabbitmq, exchange=MESSAGES, routing_key=b"beta-agent.ping", content_header=HEADERS[what])
    await alpha.publish(outgoing(b"[]"))
    async with beta.consume() as deliveries:
        for delivery in await take(deliveries, 2, ack=False):
            await delivery.reject()
    parked = await eventually(beta.parked, lambda found: len(found) == 2)
    assert {message.body for message in parked} == {b"{}", b"[]"}
    assert {(message.reason, message.routing_key, message.sender) for message in parked} == {
        ("rejected", "beta-agent.ping", "alpha-agent")
    }
    async with beta.history(since=since) as entries:
        bodies = [entry.body async for entry in entries]
    assert {b"{}", b"[]"} <= set(bodies)
    assert beta.status.reconnects == 0


async def test_an_observer_outlives_a_routing_key_that_is_no_text(
    rabbit: RabbitHarness, rabbitmq: PrivateBroker
) -> None:
    await rabbit.declare("beta-agent")
    beta = await rabbit.connect("beta-agent")
    async with beta.observe("#") as copies:
        key = b"reply.beta-agent." + NO_UTF8 + b".ping"
        await publish_raw(rabbitmq, exchange=JOURNAL, routing_key=key, content_header=header(0))
        with anyio.fail_after(DEADLINE):
            copy = await anext(copies)
        assert copy.routing_key == "reply.beta-agent.\ufffd\ufffd.ping"
    assert beta.status.reconnects == 0
