"""A TCP proxy that breaks connections on request, so that a broker's loss can be made without touching the broker."""

from __future__ import annotations

__all__ = ["TcpProxy"]

import asyncio
import socket
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

import anyio

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class TcpProxy:
    """Forwards every connection to one port of 127.0.0.1 until it is told to break them."""

    def __init__(self, upstream: int) -> None:
        self.port = 0
        self.accepted = 0
        self._upstream = upstream
        self._writers: set[asyncio.StreamWriter] = set()
        self._left: dict[bool, int] = {}
        self._flowing = anyio.Event()
        self._flowing.set()

    @classmethod
    @asynccontextmanager
    async def to(cls, upstream: int) -> AsyncGenerator[TcpProxy]:
        """Listen on a free port for the length of the context."""
        proxy = cls(upstream)
        server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            proxy.restore()
            proxy.reset()
            await server.wait_closed()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._writers) // 2

    def reset(self) -> None:
        """Break every connection with a TCP reset."""
        for writer in tuple(self._writers):
            raw = writer.get_extra_info("socket")
            if raw is not None and raw.fileno() >= 0:  # else it was closed in this very turn
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            writer.transport.abort()

    def cut_after(self, size: int, *, to_broker: bool) -> None:
        """End every connection once this many more bytes have gone that way: wherever in a frame that may be."""
        self._left[to_broker] = size

    def silence(self) -> None:
        """Let connections stay open and carry nothing, as a pulled cable does."""
        self._flowing = anyio.Event()

    def restore(self) -> None:
        """Let what was held back flow."""
        self._flowing.set()

    def _passed(self, chunk: bytes, to_broker: bool) -> bytes:
        left = self._left.get(to_broker)
        if left is None:
            return chunk
        if left < len(chunk):
            del self._left[to_broker]
            return chunk[:left]
        self._left[to_broker] = left - len(chunk)
        return chunk

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:  # there is no broker at the moment
            writer.close()
            return
        self._writers |= {writer, up_writer}
        try:
            await asyncio.gather(self._pump(reader, up_writer, True), self._pump(up_reader, writer, False))
        finally:
            self._writers -= {writer, up_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, to_broker: bool) -> None:
        with suppress(OSError):
            while chunk := await reader.read(65_536):
                await self._flowing.wait()
                passed = self._passed(chunk, to_broker)
                writer.write(passed)
                await writer.drain()
                if len(passed) < len(chunk):
                    for each in tuple(self._writers):
                        each.close()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
