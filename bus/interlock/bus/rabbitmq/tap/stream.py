"""One socket's bytes, parted between the hot channels and aio-pika; it knows frames, and nothing of messages.

Each read is split into frames once. Deliveries, returns and confirms of a hot channel are handled here; every other
byte goes on to the client library in order, and unchanged save for headers that it could not decode. Its writes push
ours out first. So the library keeps the handshake, tuning, heartbeats, and the opening and closing of channels.
"""

from __future__ import annotations

__all__ = ["Stream", "TapWriter"]

import asyncio
from collections.abc import Iterable
from typing import cast

from pamqp import commands
from pamqp import frame as pamqp_frame

from interlock.bus.rabbitmq.tap import frames
from interlock.bus.rabbitmq.tap.assembly import Assembly, HotReceiver
from interlock.bus.rabbitmq.tap.frames import END, FRAME, HEADER, METHOD, OVERHEAD
from interlock.bus.rabbitmq.tap.mending import mended

_LIVENESS = 1.0
"""Seconds between heartbeats that are shown to aiormq while only hot frames arrive: when it has seen no frame for about
three heartbeats, it takes the connection for dead."""

_LARGEST_TICK = 64 * 1024
"""Bytes that are collected in one turn of the event loop before they are handed to the socket."""

_HIGH_WATER = 1024 * 1024
"""Bytes that the socket may leave in our hands before publishers have to wait."""


class Stream(asyncio.StreamReaderProtocol):
    """The protocol under one connection of aiormq's."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self._reader = reader
        self._running = loop
        self._transport: asyncio.Transport | None = None
        self._hot: dict[int, Assembly] = {}
        self._chunks: list[bytes] = []
        self._missing = 0
        self._passes_all = False
        self._fed_at = loop.time()
        self._out: list[bytes] = []
        self._collected = 0
        self._settling: list[HotReceiver] = []
        self._scheduled = False
        self._is_lost = False
        self._full: asyncio.Future[None] | None = None
        self.blocked: str | None = None
        """Why the broker takes no publishes at the moment, in its words."""

    def __repr__(self) -> str:
        return f"Stream(hot={sorted(self._hot)}, lost={self._is_lost}, blocked={self.blocked!r})"

    def attach(self, number: int, receiver: HotReceiver) -> None:
        """Handle this channel's frames from now on; nothing else may publish or consume on it."""
        self._hot[number] = Assembly(receiver)

    @property
    def is_lost(self) -> bool:
        """Whether the connection is gone."""
        return self._is_lost

    @property
    def is_full(self) -> bool:
        """Whether whoever wants to write large amounts should wait for `drained`."""
        return self._full is not None

    async def drained(self) -> None:
        """Return when there is room again, or the connection is lost."""
        if self._full is not None:
            await asyncio.shield(self._full)

    def write(self, pieces: Iterable[bytes], size: int, *, at_once: bool = False) -> None:
        """Write these, unless `at_once` with the rest of this turn; `size` is about how many bytes they are."""
        self._out += pieces
        self._collected += size
        if at_once or self._collected > _LARGEST_TICK:
            self.flush()
        elif not self._scheduled:
            self._scheduled = True
            self._running.call_soon(self._end_turn)

    def settle_soon(self, receiver: HotReceiver) -> None:
        """Ask this receiver for its acknowledgements at the end of this turn."""
        self._settling.append(receiver)
        if not self._scheduled:
            self._scheduled = True
            self._running.call_soon(self._end_turn)

    def flush(self) -> None:
        """Hand everything that was collected to the socket."""
        if self._settling:
            settling, self._settling = self._settling, []
            for receiver in settling:
                receiver.write_settles()
        if self._out:
            out, self._out = self._out, []
            self._collected = 0
            transport = self._transport
            if transport is not None and not self._is_lost and not transport.is_closing():
                transport.write(b"".join(out))

    def abort(self) -> None:
        """Let go of the socket, if it is still there, with what nobody takes from it.

        A closed socket stays until its bytes are taken: under an alarm, or by a broker that froze, they never are.
        """
        if self._transport is not None and not self._is_lost:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.BaseProtocol`."""
        socket = cast("asyncio.Transport", transport)  # uvloop's has its methods, and is no instance of it
        self._transport = socket
        socket.set_write_buffer_limits(high=_HIGH_WATER)
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """See `asyncio.BaseProtocol`."""
        self._is_lost = True
        self._out.clear()
        self._settling.clear()
        self._release()
        for assembly in self._hot.values():
            assembly.receiver.lost()
        self._hot.clear()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        super().pause_writing()
        if self._full is None:
            self._full = self._running.create_future()

    def resume_writing(self) -> None:
        """See `asyncio.BaseProtocol`."""
        super().resume_writing()
        self._release()

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        if self._passes_all:
            self._reader.feed_data(data)
            return
        if self._chunks:
            # A frame that comes in many pieces is put together once, when it is complete.
            self._chunks.append(data)
            self._missing -= len(data)
            if self._missing > 0:
                return
            data = b"".join(self._chunks)
            self._chunks.clear()
        consumed = self._split(data)
        if self._passes_all:
            self._reader.feed_data(data[consumed:])
        elif consumed < len(data):
            rest = data[consumed:]
            self._chunks.append(rest)
            self._missing = (FRAME.unpack_from(rest)[2] + OVERHEAD if len(rest) >= FRAME.size else OVERHEAD) - len(rest)

    def _split(self, data: bytes) -> int:
        """Handle the complete frames in these bytes, and return where they end."""
        unpack, hot = FRAME.unpack_from, self._hot
        position, cold_from, size_of_all, took = 0, 0, len(data), False
        while size_of_all - position >= OVERHEAD:
            kind, number, size = unpack(data, position)
            if kind > OVERHEAD:  # no frame: a protocol header, or not AMQP at all
                self._passes_all = True
                break
            following = position + size + OVERHEAD
            if following > size_of_all:
                break
            if data[following - 1] != END:  # aiormq will say what is wrong with it
                self._passes_all = True
                break
            assembly = hot.get(number)
            if assembly is not None:
                if assembly.take(kind, data, position + FRAME.size, following - 1):
                    took = True
                    if cold_from < position:
                        self._reader.feed_data(data[cold_from:position])
                    cold_from = following
                elif assembly.is_over:
                    del hot[number]
            elif kind == HEADER:
                content = data[position + FRAME.size : following - 1]
                if (readable := mended(content)) is not content:
                    frame = FRAME.pack(HEADER, number, len(readable)) + readable + b"\xce"
                    self._reader.feed_data(data[cold_from:position] + frame)
                    cold_from = following
            elif number == 0 and kind == METHOD:
                self._look_at(data[position:following])
            position = following
        if cold_from < position:
            self._reader.feed_data(data[cold_from:position])
        elif took:
            self._stay_alive()
        return position

    def _end_turn(self) -> None:
        self._scheduled = False
        self.flush()

    def _look_at(self, frame: bytes) -> None:
        """Take note of what concerns the connection as a whole."""
        method = int.from_bytes(frame[FRAME.size : FRAME.size + 4], "big")
        if method == frames.CONNECTION_BLOCKED:
            blocked = pamqp_frame.unmarshal(frame)[2]
            assert isinstance(blocked, commands.Connection.Blocked)
            self.blocked = blocked.reason or "it does not say why"
        elif method == frames.CONNECTION_UNBLOCKED:
            self.blocked = None

    def _stay_alive(self) -> None:
        now = self._running.time()
        if now - self._fed_at > _LIVENESS:
            self._fed_at = now
            self._reader.feed_data(frames.HEARTBEAT)

    def _release(self) -> None:
        full, self._full = self._full, None
        if full is not None and not full.done():
            full.set_result(None)


class TapWriter(asyncio.StreamWriter):
    """What aiormq writes to: its bytes follow those that were written before them."""

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        stream: Stream,
        reader: asyncio.StreamReader,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(transport, stream, reader, loop)
        self._stream = stream

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `asyncio.StreamWriter`."""
        self._stream.flush()
        super().write(data)

    def writelines(self, data: Iterable[bytes | bytearray | memoryview]) -> None:
        """See `asyncio.StreamWriter`."""
        self._stream.flush()
        super().writelines(data)
