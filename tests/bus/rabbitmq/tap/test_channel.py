"""What a hot channel writes, and when, read back by another decoder; and whom it tells what the broker said."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

import aiormq
import anyio
import pytest
from aio_pika.abc import AbstractChannel
from pamqp import body as pamqp_body
from pamqp import commands, frame, header

from bus.harness import DEADLINE, outgoing
from bus.rabbitmq.tap.test_stream import Socket, content
from interlock.bus.rabbitmq.tap.channel import TapChannel
from interlock.bus.rabbitmq.tap.delivery import TapDelivery
from interlock.bus.rabbitmq.tap.stream import Stream
from interlock.bus.rabbitmq.topology import JOURNAL, MESSAGES
from interlock.bus.rabbitmq.verdict import LOST, REFUSED, STORED, Outcome, Verdict
from interlock.protocol.errors import UsageError

NUMBER = 3
LONG = 3600.0


@dataclass
class Library:
    """The client library's halves of a channel, as far as the fast path calls them; it writes to the same socket."""

    socket: Socket
    number: int = NUMBER
    is_closed: bool = False
    consumers: dict[str, object] = field(default_factory=dict[str, object])

    async def basic_consume(self, _queue: str, consumer: object) -> commands.Basic.ConsumeOk:
        self.consumers["tag"] = consumer
        return commands.Basic.ConsumeOk("tag")

    async def close(self) -> None:
        self.is_closed = True
        self.socket.write(frame.marshal(commands.Channel.Close(200, "", 0, 0), NUMBER))


class Opened:
    """A hot channel over a socket that only remembers."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.socket = Socket()
        self.stream = Stream(asyncio.StreamReader(loop=loop), loop)
        self.stream.connection_made(self.socket)
        self.library = Library(self.socket)
        amqp, raw = cast("AbstractChannel", self.library), cast("aiormq.Channel", self.library)
        self.channel = TapChannel(self.stream, amqp, raw, frame_max=4096)
        self.arrived: list[TapDelivery] = []
        self.ends = 0

    async def consume(self, count: int) -> list[TapDelivery]:
        """Subscribe, and return this many deliveries, which have come in one read."""
        await self.channel.consume("queue", self.arrived.append, on_end=self._end)
        frames = [
            each
            for number in range(1, count + 1)
            for each in content(commands.Basic.Deliver("tag", number, False, "exchange", "a.b"), NUMBER, b"{}")
        ]
        self.stream.data_received(b"".join(frames))
        return self.arrived

    def feed(self, *frames: Any) -> None:
        self.stream.data_received(b"".join(frame.marshal(each, NUMBER) for each in frames))

    def written(self) -> list[tuple[Any, ...]]:
        """Return what was written since the last call: kind, tag and flag of settles, other frames by their names."""
        data, found = b"".join(self.socket.written), list[tuple[Any, ...]]()
        self.socket.written.clear()
        while data:
            size, _, one = frame.unmarshal(data)
            data = data[size:]
            match one:
                case commands.Basic.Ack():
                    found.append(("ack", one.delivery_tag, one.multiple))
                case commands.Basic.Reject():
                    found.append(("reject", one.delivery_tag, one.requeue))
                case commands.Basic.Publish():
                    found.append(("publish", one.exchange, one.mandatory))
                case header.ContentHeader():
                    found.append(("header", one.properties.message_id))
                case pamqp_body.ContentBody():
                    found.append(("body", one.value))
                case _:
                    found.append((one.name,))
        return found

    def _end(self) -> None:
        self.ends += 1


async def turn() -> None:
    """Let the event loop end its turn, in which everything is written."""
    await asyncio.sleep(0)


async def test_what_is_acknowledged_in_one_turn_is_one_frame() -> None:
    opened = Opened()
    for delivery in await opened.consume(100):
        await delivery.ack()
    await turn()
    assert opened.written() == [("ack", 100, True)]


async def test_what_waits_behind_a_slower_delivery_is_written_by_itself_after_a_moment() -> None:
    opened = Opened()
    slow, *others = await opened.consume(3)
    for delivery in others:
        await delivery.ack()
    await turn()
    assert opened.written() == []
    with anyio.fail_after(DEADLINE):
        await opened.socket.wrote()
    assert opened.written() == [("ack", 2, False), ("ack", 3, False)]
    await slow.ack()
    await turn()
    assert opened.written() == [("ack", 1, True)]


async def test_a_refusal_is_written_in_its_turn_and_acknowledgements_step_over_it() -> None:
    opened = Opened()
    first, second, third = await opened.consume(3)
    await second.reject()
    await first.ack()
    await third.requeue()
    await turn()
    assert opened.written() == [("reject", 2, False), ("reject", 3, True), ("ack", 1, True)]


async def test_a_delivery_is_settled_once() -> None:
    opened = Opened()
    [delivery] = await opened.consume(1)
    await delivery.ack()
    for again in (delivery.ack, delivery.reject, delivery.requeue):
        with pytest.raises(UsageError, match="settled twice"):
            await again()


async def test_the_last_acknowledgements_are_written_before_the_channel_is_closed_and_none_after() -> None:
    opened = Opened()
    first, second, third, _ = await opened.consume(4)
    await first.ack()
    await third.ack()
    await opened.channel.aclose()
    await second.ack()
    await turn()
    assert opened.written() == [("ack", 1, True), ("ack", 3, False), ("Channel.Close",)]
    assert all(delivery.is_stale for delivery in opened.arrived)


async def test_what_arrives_after_the_close_is_the_brokers_again() -> None:
    opened = Opened()
    await opened.consume(1)
    await opened.channel.aclose()
    deliver = commands.Basic.Deliver("tag", 2, False, "exchange", "a.b")
    opened.stream.data_received(b"".join(content(deliver, NUMBER, b"late")))
    assert [delivery.body for delivery in opened.arrived] == [b"{}"]


async def test_a_message_and_its_copy_are_one_write_without_a_task() -> None:
    opened = Opened()
    tasks = asyncio.all_tasks()
    message = outgoing(b"[1]")
    stored, copied = opened.channel.publish(message, (MESSAGES, JOURNAL), attempt=7, within=LONG)
    assert asyncio.all_tasks() == tasks
    assert len(opened.socket.written) == 1, "what is alone is written at once"
    for number in range(99):
        opened.channel.publish(outgoing(b"[2]"), (MESSAGES, JOURNAL), attempt=8 + number, within=LONG)
    await turn()
    assert len(opened.socket.written) == 2, "the others are collected, up to a number of bytes"
    written = opened.written()
    part = [("header", f"{message.message_id}/7"), ("body", b"[1]")]
    assert written[:6] == [("publish", MESSAGES, True), *part, ("publish", JOURNAL, False), *part]
    assert len(written) == 600
    assert not stored.done()
    opened.feed(commands.Basic.Ack(2, True))
    assert (stored.result(), copied.result()) == (STORED, STORED)


async def test_a_return_is_the_messages_and_never_its_copys() -> None:
    opened = Opened()
    message = outgoing(b"[1]")
    outcomes = opened.channel.publish(message, (MESSAGES, JOURNAL), attempt=1, within=LONG)
    returned = commands.Basic.Return(312, "NO_ROUTE", MESSAGES, message.routing_key)
    opened.stream.data_received(b"".join(content(returned, NUMBER, b"[1]", message_id=f"{message.message_id}/1")))
    opened.feed(commands.Basic.Ack(1, False), commands.Basic.Nack(2, False, False))
    assert [outcome.result() for outcome in outcomes] == [Outcome(Verdict.UNROUTABLE), REFUSED]


async def test_what_is_kept_of_one_address_is_not_written_for_another() -> None:
    opened = Opened()
    changes: tuple[dict[str, Any], ...] = (
        {},
        {"receiver": "gamma-agent"},
        {"type": "pong"},
        {"sender": "delta-agent"},
        {"receiver": "all", "type": "announcement"},
    )
    expected = [
        (outgoing(**change), exchanges) for change in changes for exchanges in ((MESSAGES, JOURNAL), (JOURNAL,))
    ]
    for number, (message, exchanges) in enumerate(expected * 2):
        opened.channel.publish(message, exchanges, attempt=number, within=LONG)
    await turn()
    data, written = b"".join(opened.socket.written), list[Any]()
    while data:
        size, _, one = frame.unmarshal(data)
        data = data[size:]
        written.append(one)
    publishes = [
        (each.exchange, each.routing_key, each.mandatory)
        for each in written
        if isinstance(each, commands.Basic.Publish)
    ]
    assert publishes == [
        (exchange, message.routing_key, exchange == MESSAGES and message.receiver != "all")
        for message, exchanges in expected * 2
        for exchange in exchanges
    ]
    properties = [each.properties for each in written if isinstance(each, header.ContentHeader)]
    assert [(each.message_type, each.user_id) for each in properties] == [
        (message.type, message.sender) for message, exchanges in expected * 2 for _ in exchanges
    ]


async def test_more_addresses_than_are_kept_cost_no_memory_and_no_message() -> None:
    opened = Opened()
    for number in range(3000):
        message = outgoing(receiver=f"reply.alpha-agent.{number}")
        [outcome] = opened.channel.publish(message, (MESSAGES,), attempt=1, within=LONG)
        opened.feed(commands.Basic.Ack(number + 1, False))
        assert outcome.result() is STORED
    data, keys = b"".join(opened.socket.written), list[str]()
    while data:
        size, _, one = frame.unmarshal(data)
        data = data[size:]
        if isinstance(one, commands.Basic.Publish):
            keys.append(one.routing_key)
    assert keys == [f"reply.alpha-agent.{number}.ping" for number in range(3000)]


@pytest.mark.parametrize(
    ("code", "verdict"),
    [
        (403, Verdict.FORBIDDEN),
        (404, Verdict.UNDECLARED),
        (406, Verdict.FORBIDDEN),
        (504, Verdict.LOST),
        (541, Verdict.LOST),
    ],
)
async def test_why_the_broker_closed_the_channel_is_everybodys_outcome(code: int, verdict: Verdict) -> None:
    opened = Opened()
    first, second = opened.channel.publish(outgoing(), (MESSAGES, JOURNAL), attempt=1, within=LONG)
    opened.feed(commands.Basic.Ack(1, False), commands.Channel.Close(code, "the reason", 60, 40))
    assert first.result() is STORED
    assert second.result().verdict is verdict
    assert verdict is Verdict.LOST or "the reason" in str(second.result().cause)
    assert opened.channel.is_closed
    [after] = opened.channel.publish(outgoing(), (MESSAGES,), attempt=2, within=LONG)
    assert after.result() is LOST


async def test_a_consumer_is_told_of_the_end_by_cancel_close_and_loss() -> None:
    for end in ("cancel", "close", "loss"):
        opened = Opened()
        await opened.consume(1)
        assert opened.channel.is_consuming
        match end:
            case "cancel":
                opened.feed(commands.Basic.Cancel("tag", True))
            case "close":
                opened.feed(commands.Channel.Close(406, "delivery acknowledgement timed out", 0, 0))
            case _:
                opened.stream.connection_lost(None)
        assert opened.ends == 1
        assert not opened.channel.is_consuming
        assert opened.channel.is_closed is (end != "cancel")
        assert opened.arrived[0].is_stale is (end != "cancel")
