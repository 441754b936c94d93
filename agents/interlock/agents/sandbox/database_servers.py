"""The databases behind the emulated RDS instances: a server of its own for each, as in the cloud; it knows no AWS."""

from __future__ import annotations

__all__ = ["DatabaseServers"]

import asyncio
from collections import deque
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from interlock.agents.sandbox.certificates import CertificateAuthority
from interlock.agents.sandbox.mysql_greeting import MySqlGreeting
from interlock.agents.sandbox.postgres import PostgresServer
from interlock.protocol.errors import InterlockError, UsageError

_START_WITHIN = 60.0


class DatabaseServers:
    """Starts a PostgreSQL per instance when it is first asked for, and a MySQL greeting for the other engines.

    An async context manager; while it is open, `provision` may be called from any other thread. All servers have
    certificates of one authority.
    """

    def __init__(self, directory: Path, *, spare: int = 0) -> None:
        """`spare` servers are started ahead, while nobody waits for them; the first instances get those."""
        self._directory = directory
        self._spare = spare
        self._idle: deque[PostgresServer] = deque()
        self._authority = CertificateAuthority("Interlock sandbox")
        self._servers: dict[str, PostgresServer] = {}
        self._greeting = MySqlGreeting()
        self._starting = anyio.Lock()
        self._closing = AsyncExitStack()
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"DatabaseServers({sorted(self._servers)})"

    @property
    def ca_file(self) -> Path:
        """The certificate authority that clients have to trust."""
        return self._directory / "authority.pem"

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        await anyio.Path(self._directory).mkdir(parents=True, exist_ok=True)
        await anyio.Path(self.ca_file).write_bytes(self._authority.certificate)
        await self._closing.enter_async_context(self._greeting)
        if self._spare:
            tasks = await self._closing.enter_async_context(anyio.create_task_group())
            self._closing.callback(tasks.cancel_scope.cancel)
            tasks.start_soon(self._start_ahead)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop = None
        await self._closing.aclose()
        self._servers.clear()
        self._idle.clear()

    def provision(self, identifier: str, *, engine: str, database: str, user: str, password: str) -> tuple[str, int]:
        """Return host and port of the instance's server, with this user and database, started where necessary.

        Blocks for about a second the first time, unless a spare server is there. Must not be called from the event
        loop's own thread. Raises UsageError when this is not open or PostgreSQL is not installed.
        """
        if self._loop is None:
            raise UsageError(f"{identifier}: the database servers are not open; enter their context first")
        if engine != "postgres":
            return self._greeting.provision(identifier, engine=engine, database=database, user=user, password=password)
        # On the loop's thread, which outlives the caller's: a server ends with the thread that started it.
        starting = asyncio.run_coroutine_threadsafe(self._server(identifier), self._loop)
        server = starting.result(_START_WITHIN)
        return server.provision(identifier, engine=engine, database=database, user=user, password=password)

    async def _server(self, identifier: str) -> PostgresServer:
        async with self._starting:
            if identifier not in self._servers:
                server = self._idle.popleft() if self._idle else await self._start(identifier)
                self._servers[identifier] = server
            return self._servers[identifier]

    async def _start(self, name: str) -> PostgresServer:
        server = PostgresServer(self._directory / name, authority=self._authority)
        return await self._closing.enter_async_context(server)

    async def _start_ahead(self) -> None:
        for number in range(1, self._spare + 1):
            async with self._starting:
                try:
                    self._idle.append(await self._start(f"spare {number}"))
                except InterlockError:
                    return  # whoever asks for a server starts it, and is told why that is impossible
