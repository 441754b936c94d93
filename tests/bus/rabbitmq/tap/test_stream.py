"""The bytes of one socket, parted: whatever the pieces in which they come, hot and cold are the same."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from typing import Any, cast

import anyio
import pytest
from pamqp import base, commands, frame, header, heartbeat
from pamqp import body as pamqp_body

from interlock.bus.rabbitmq.tap.arrived import ArrivedContent
from interlock.bus.rabbitmq.tap.stream import Stream, TapWriter

HOT, COLD, CONFIRMING = 3, 5, 7
FRAME_MAX = 5000


class Socket(asyncio.Transport):
    """Takes what is written, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.is_closed = False
        self._write = asyncio.Event()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written.append(bytes(data))
        self._write.set()

    async def wrote(self) -> None:
        """Return after the next write."""
        self._write.clear()
        await self._write.wait()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


class Receiver:
    """Writes down everything that a hot channel is told."""

    def __init__(self, events: list[tuple[Any, ...]]) -> None:
        self.events = events
        self.settles: list[bytes] = []
        self.stream: Stream | None = None

    def content(self, arrived: ArrivedContent) -> None:
        kind = "delivered" if arrived.method[3] == 60 else "returned"
        told = arrived.delivered() if kind == "delivered" else ()
        self.events.append((kind, *told, arrived.body, arrived.user_id, arrived.content_type, arrived.reply_to))

    def confirmed(self, tag: int, *, multiple: bool, stored: bool) -> None:
        self.events.append(("confirmed", tag, multiple, stored))

    def cancelled(self) -> None:
        self.events.append(("cancelled",))

    def closed(self, code: int, reason: str) -> None:
        self.events.append(("closed", code, reason))

    def lost(self) -> None:
        self.events.append(("lost",))

    def write_settles(self) -> None:
        assert self.stream is not None
        settles, self.settles = self.settles, []
        self.stream.write(settles, sum(map(len, settles)))


class Tapped:
    """A stream with two hot channels, fed by hand."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.reader = asyncio.StreamReader(limit=2**30, loop=loop)
        self.stream = Stream(self.reader, loop)
        self.socket = Socket()
        self.stream.connection_made(self.socket)
        self.events: list[tuple[Any, ...]] = []
        self.receiver = Receiver(self.events)
        self.receiver.stream = self.stream
        self.stream.attach(HOT, self.receiver)
        self.stream.attach(CONFIRMING, self.receiver)

    async def read(self) -> bytes:
        """Return the cold bytes that are there."""
        with anyio.move_on_after(0):
            return await self.reader.read(2**20)
        return b""

    async def feed(self, pieces: Iterable[bytes]) -> bytes:
        """Feed these, and return the cold bytes."""
        for piece in pieces:
            self.stream.data_received(piece)
        self.reader.feed_eof()
        return await self.reader.read()


def content(method: base.Frame, channel: int, body: bytes, **properties: Any) -> list[bytes]:
    """Return the frames of a method with its content."""
    basic = commands.Basic.Properties(**properties)
    pieces = [frame.marshal(method, channel), frame.marshal(header.ContentHeader(0, len(body), basic), channel)]
    parts = (body[start : start + FRAME_MAX] for start in range(0, len(body), FRAME_MAX))
    return [*pieces, *(frame.marshal(pamqp_body.ContentBody(part), channel) for part in parts)]


def traffic(chance: random.Random) -> list[tuple[bytes, bool]]:
    """Return frames as a broker could send them, each with whether it is a hot channel's business."""
    frames: list[tuple[bytes, bool]] = []
    for number in range(1, chance.randint(5, 60)):
        size = chance.choice((0, 1, 50, 700, FRAME_MAX - 1, FRAME_MAX, FRAME_MAX + 1, 4 * FRAME_MAX))
        body = chance.randbytes(size)
        properties: dict[str, Any] = {
            "message_id": f"m{number}",
            "user_id": chance.choice((None, "alpha-agent")),
            "content_type": chance.choice((None, "application/json")),
            "headers": chance.choice((None, {}, {"traceparent": "00-1", "deep": {"list": [1, "two", None]}})),
            "reply_to": chance.choice((None, "reply.alpha-agent.1")),
            "timestamp": None,
            "priority": chance.choice((None, 3)),
            "expiration": chance.choice((None, "60000")),
            "content_encoding": chance.choice((None, "utf-8")),
        }
        deliver = commands.Basic.Deliver("tag", number, chance.random() < 0.5, "exchange", "beta-agent.ping")
        match chance.randrange(8):
            case 0 | 1:
                frames += [(each, True) for each in content(deliver, HOT, body, **properties)]
            case 2:
                frames += [(each, False) for each in content(deliver, COLD, body, **properties)]
            case 3:
                acked = commands.Basic.Ack(number, chance.random() < 0.5)
                frames.append((frame.marshal(acked, CONFIRMING), True))
                frames.append((frame.marshal(commands.Basic.Nack(number, False, False), COLD), False))
            case 4:
                frames.append((frame.marshal(heartbeat.Heartbeat(), 0), False))
            case 5:
                frames.append((frame.marshal(commands.Basic.QosOk(), HOT), False))
            case 6:
                got = commands.Basic.GetOk(1, False, "exchange", "key", 0)
                frames += [(each, False) for each in content(got, HOT, body, **properties)]
            case _:
                returned = commands.Basic.Return(312, "NO_ROUTE", "exchange", "key")
                frames += [(each, True) for each in content(returned, CONFIRMING, body, **properties)]
    return frames


def torn(data: bytes, chance: random.Random) -> list[bytes]:
    """Return the data in pieces of any length."""
    pieces, start = [], 0
    while start < len(data):
        length = chance.choice((1, 2, 7, 8, 9, 100, 3000, 70000))
        pieces.append(data[start : start + length])
        start += length
    return pieces


@pytest.mark.parametrize("seed", range(60))
async def test_any_pieces_give_the_same_events_and_the_same_cold_bytes(seed: int) -> None:
    chance = random.Random(seed)
    frames = traffic(chance)
    data = b"".join(each for each, _ in frames)
    whole, pieces = Tapped(), Tapped()
    cold = await whole.feed([data])
    assert cold == b"".join(each for each, hot in frames if not hot)
    assert await pieces.feed(torn(data, chance)) == cold
    assert pieces.events == whole.events


async def test_what_is_read_from_a_header_is_what_was_written() -> None:
    properties = {
        "content_type": "application/json",
        "content_encoding": "utf-8",
        "headers": {"x": 1},
        "delivery_mode": 2,
        "priority": 1,
        "correlation_id": "c",
        "reply_to": "reply.beta-agent.1",
        "expiration": "1",
        "message_id": "id/1",
        "message_type": "ping",
        "user_id": "alpha-agent",
        "app_id": "app",
    }
    for left_out in (None, *properties):
        tapped = Tapped()
        kept = {name: value for name, value in properties.items() if name != left_out}
        await tapped.feed(content(commands.Basic.Deliver("tag", 9, True, "exchange", "a.b"), HOT, b"body", **kept))
        expected = ("delivered", 9, True, "a.b", b"body")
        assert tapped.events == [(*expected, kept.get("user_id"), kept.get("content_type"), kept.get("reply_to"))]


async def test_a_channels_end_is_told_to_both_sides_and_ends_the_tapping() -> None:
    tapped = Tapped()
    closing = frame.marshal(commands.Channel.Close(404, "NOT_FOUND", 60, 40), HOT)
    delivery = content(commands.Basic.Deliver("tag", 1, False, "exchange", "key"), HOT, b"later")
    cancelled = frame.marshal(commands.Basic.Cancel("tag", True), CONFIRMING)
    cold = await tapped.feed([closing, *delivery, cancelled])
    assert cold == b"".join([closing, *delivery, cancelled])
    assert tapped.events == [("closed", 404, "NOT_FOUND"), ("cancelled",)]


async def test_another_loops_socket_needs_no_more_than_the_methods() -> None:
    """As uvloop's, which is no `asyncio.Transport` by its type."""

    class Foreign:
        def __init__(self) -> None:
            self.socket = Socket()

        def __getattr__(self, name: str) -> Any:
            return getattr(self.socket, name)

    foreign = Foreign()
    loop = asyncio.get_running_loop()
    stream = Stream(asyncio.StreamReader(loop=loop), loop)
    stream.connection_made(cast("asyncio.Transport", foreign))
    stream.write([b"written"], 7, at_once=True)
    assert foreign.socket.written == [b"written"]


async def test_what_is_no_amqp_is_left_to_the_library() -> None:
    for garbage in (
        b"AMQP\x00\x00\x09\x01",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x01\x00\x03\x00\x00\x00\x01xy" * 3,
    ):
        tapped = Tapped()
        assert await tapped.feed([garbage, b"and more"]) == garbage + b"and more"
        assert tapped.events == []


async def test_the_brokers_reason_for_taking_nothing_is_kept_until_it_takes_again() -> None:
    tapped = Tapped()
    tapped.stream.data_received(frame.marshal(commands.Connection.Blocked("low on memory"), 0))
    assert tapped.stream.blocked == "low on memory"
    tapped.stream.data_received(frame.marshal(commands.Connection.Unblocked(), 0))
    assert tapped.stream.blocked is None


async def test_one_turn_is_one_write_and_the_librarys_bytes_follow_those_before_them() -> None:
    tapped = Tapped()
    writer = TapWriter(tapped.socket, tapped.stream, tapped.reader, asyncio.get_running_loop())
    for number in range(100):
        tapped.stream.write([b"%d," % number], 3)
    tapped.receiver.settles.append(b"settled,")
    tapped.stream.settle_soon(tapped.receiver)
    await asyncio.sleep(0)
    assert tapped.socket.written == [b"".join(b"%d," % number for number in range(100)) + b"settled,"]
    tapped.stream.write([b"after what was collected,"], 0)
    tapped.stream.write([b"at once,"], 0, at_once=True)
    assert tapped.socket.written[1:] == [b"after what was collected,at once,"]
    del tapped.socket.written[1:]
    tapped.stream.write([b"before,"], 7)
    writer.write(b"the library's")
    assert tapped.socket.written[1:] == [b"before,", b"the library's"]
    writer.close()


async def test_a_full_socket_makes_publishers_wait_until_it_is_drained_or_lost() -> None:
    for ends in ("resume", "loss"):
        tapped = Tapped()
        tapped.stream.pause_writing()
        assert tapped.stream.is_full
        waiting = asyncio.create_task(tapped.stream.drained())
        await asyncio.sleep(0)
        assert not waiting.done()
        if ends == "resume":
            tapped.stream.resume_writing()
        else:
            tapped.stream.connection_lost(None)
        await asyncio.wait_for(waiting, 5)
        assert not tapped.stream.is_full
    assert tapped.events == [("lost",), ("lost",)]


def sizes_written(socket: Socket) -> Sequence[int]:
    return [len(each) for each in socket.written]


async def test_a_turn_of_many_bytes_is_not_collected_without_bound() -> None:
    tapped = Tapped()
    for _ in range(40):
        tapped.stream.write([b"x" * 100_000], 100_000)
    await asyncio.sleep(0)
    assert sum(sizes_written(tapped.socket)) == 4_000_000
    assert max(sizes_written(tapped.socket)) <= 400_000


class Hours(asyncio.SelectorEventLoop):
    """An event loop whose clock a test moves on."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


def test_while_only_hot_frames_arrive_the_library_is_shown_a_heartbeat_each_second() -> None:
    async def run(loop: Hours) -> None:
        tapped = Tapped()
        delivery = b"".join(content(commands.Basic.Deliver("tag", 1, False, "exchange", "key"), HOT, b"{}"))
        cold = frame.marshal(commands.Basic.QosOk(), COLD)
        shown = list[bool]()
        for seconds, arrives in ((0.0, delivery), (0.9, delivery), (0.2, delivery), (0.5, delivery), (5.0, cold)):
            loop.ahead += seconds
            tapped.stream.data_received(arrives)
            shown.append(await tapped.read() == heartbeat.Heartbeat().marshal())
        assert shown == [False, False, True, False, False]

    loop = Hours()
    try:
        loop.run_until_complete(run(loop))
    finally:
        loop.close()
