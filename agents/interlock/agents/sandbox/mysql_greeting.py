"""A loopback server that speaks MySQL's greeting and no more, where no MySQL server is to be had.

It proves that an address is reachable and greets. It offers no TLS and lets nobody in, and says so, so that
TLS, login and query stay unknown. Source: MySQL client/server protocol, `HandshakeV10` and `ERR_Packet`.
"""

from __future__ import annotations

__all__ = ["MySqlGreeting"]

import asyncio
import secrets
import struct
from types import TracebackType
from typing import Self

from interlock.protocol.errors import UsageError

_HOST = "127.0.0.1"
_VERSION = b"8.0.0-interlock-greeting"
_LONG_PASSWORD, _PROTOCOL_41, _SECURE_CONNECTION, _PLUGIN_AUTH = 0x1, 0x200, 0x8000, 0x80000
_CAPABILITIES = _LONG_PASSWORD | _PROTOCOL_41 | _SECURE_CONNECTION | _PLUGIN_AUTH
_UTF8MB4, _AUTOCOMMIT = 45, 2
_NOT_SUPPORTED_AUTH_MODE = 1251
_PATIENCE = 10.0


class MySqlGreeting:
    """Greets every connection as MySQL does, refuses every login, and never authenticates anybody."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._port = 0
        self._thread_ids = 0

    def __repr__(self) -> str:
        return f"MySqlGreeting({_HOST}:{self._port})"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    @property
    def port(self) -> int:
        """The port, once started."""
        return self._port

    async def start(self) -> None:
        """Listen on a free port of 127.0.0.1."""
        self._server = await asyncio.start_server(self._greet, _HOST, 0)
        self._port = self._server.sockets[0].getsockname()[1]

    async def aclose(self) -> None:
        """Stop listening and end what is still connected. May be called twice."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await server.wait_closed()

    def provision(self, identifier: str, *, engine: str, database: str, user: str, password: str) -> tuple[str, int]:  # noqa: ARG002 - the backend's signature; nothing is stored
        """Return host and port; no database is made. Raises UsageError for another engine, or when not started."""
        if engine not in {"mysql", "mariadb"}:
            raise UsageError(f"{identifier}: this sandbox greets as MySQL, not as {engine}")
        if self._server is None:
            raise UsageError(f"{identifier}: the MySQL greeting is not running; start it first")
        return _HOST, self._port

    async def _greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        self._thread_ids += 1
        try:
            writer.write(_packet(0, _handshake(self._thread_ids)))
            await writer.drain()
            async with asyncio.timeout(_PATIENCE):
                header = await reader.readexactly(4)
                await reader.readexactly(int.from_bytes(header[:3], "little"))
            writer.write(_packet(2, _refusal()))
            await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


def _packet(sequence: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes((sequence,)) + payload


def _handshake(thread_id: int) -> bytes:
    # The challenge is NUL-terminated on the wire, so it may hold no NUL itself.
    challenge = bytes(1 + secrets.randbelow(127) for _ in range(20))
    return b"".join(
        (
            b"\x0a",
            _VERSION,
            b"\x00",
            struct.pack("<I", thread_id),
            challenge[:8],
            b"\x00",
            struct.pack("<H", _CAPABILITIES & 0xFFFF),
            struct.pack("<BH", _UTF8MB4, _AUTOCOMMIT),
            struct.pack("<H", _CAPABILITIES >> 16),
            bytes((len(challenge) + 1,)),
            bytes(10),
            challenge[8:],
            b"\x00",
            b"caching_sha2_password\x00",
        )
    )


def _refusal() -> bytes:
    return (
        b"\xff"
        + struct.pack("<H", _NOT_SUPPORTED_AUTH_MODE)
        + b"#08004"
        + b"This sandbox greets only; nobody can log in"
    )
