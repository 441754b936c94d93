"""PostgreSQL as a `Database`: one session, used by one thread at a time; it knows no statement of a store.

asyncpg has no blocking interface, and operations are plain functions of a connection, the same for every database.
So the session has an event loop of its own, which runs for as long as a statement does.
"""

from __future__ import annotations

__all__ = ["PostgresDatabase"]

import asyncio
import contextlib
import functools
import itertools
import re
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import asyncpg
from asyncpg.prepared_stmt import PreparedStatement

from interlock.bus.store.database import StoreUnavailableError
from interlock.bus.store.news import News
from interlock.bus.store.postgres.address import PostgresAddress
from interlock.protocol.errors import UsageError

Result = TypeVar("Result")

_PLACEHOLDER = re.compile(r"\?(\d*)")
_ABOUT_DATA = (asyncpg.IntegrityConstraintViolationError, asyncpg.RaiseError, asyncpg.DataError)


class _Answer:
    """The answer to one statement; a `Cursor`."""

    def __init__(self, rows: Sequence[asyncpg.Record], status: str) -> None:
        self._rows = iter(rows)
        self._status = status

    @property
    def rowcount(self) -> int:
        """How many rows were written, by the last word of the server's `UPDATE 3`."""
        count = self._status.rpartition(" ")[2]
        return int(count) if count.isdigit() else -1

    def fetchone(self) -> asyncpg.Record | None:
        """Return the next row."""
        return next(self._rows, None)

    def fetchall(self) -> list[asyncpg.Record]:
        """Return what is left."""
        return list(self._rows)

    def __iter__(self) -> Iterator[asyncpg.Record]:
        return self._rows


class PostgresDatabase:
    """Implements `Database` and its `Connection`.

    A session that is lost is begun anew by the next `begin` or statement outside a transaction. The transactions
    that are to be alone take turns, under an advisory lock.
    """

    is_local = False
    errors: tuple[type[Exception], ...] = (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        OSError,
        TimeoutError,
        StoreUnavailableError,
    )

    def __init__(self, address: PostgresAddress, *, announcer: str, read_only: bool = False) -> None:
        """`announcer` is what other replicas hear on the channel."""
        self._address = address
        self._announcer = announcer
        self._read_only = read_only
        self._loop = asyncio.new_event_loop()
        self._session: asyncpg.Connection | None = None
        self._was_let_in = False
        self._prepared: dict[str, PreparedStatement] = {}

    def __repr__(self) -> str:
        return f"PostgresDatabase({self._address}, connected={self._session is not None})"

    @property
    def connection(self) -> PostgresDatabase:
        """Itself: it runs statements."""
        return self

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open in a session that lives."""
        session = self._session
        return session is not None and not session.is_closed() and session.is_in_transaction()

    def is_outage(self, error: Exception) -> bool:
        """Return whether the fault is the server's or the way's to it; the data's are the operation's own."""
        return isinstance(error, self.errors) and not isinstance(error, _ABOUT_DATA)

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> _Answer:
        """Run a statement in one round trip; its first use takes one more."""
        return self._run(self._execute(sql, parameters))

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> None:
        """Run a statement for each set of parameters, without waiting in between."""
        if values := [tuple(each) for each in parameters]:
            self._run(self._execute_many(sql, values))

    def begin(self, *, alone: bool = True) -> None:
        """Begin a transaction when it is this replica's turn. Waits for at most the session's `lock_timeout`."""
        self._run(self._script(f"BEGIN; SELECT pg_advisory_xact_lock({self._address.lock})" if alone else "BEGIN"))

    def commit(self) -> None:
        """Let the server write it to its disk. When the answer is lost, it may have done so."""
        self._run(self._script("COMMIT"))

    def rollback(self) -> None:
        """Undo everything since `begin`; what cannot be told to the server is undone by it."""
        if self.in_transaction:
            with contextlib.suppress(*self.errors):
                self._run(self._script("ROLLBACK"))

    def announce(self, news: News) -> None:
        """Wake the other replicas; outside of any transaction, because a commit that notifies locks out all others."""
        self.execute("SELECT pg_notify(?, ?)", (self._address.channel, f"{self._announcer} {news.value}"))

    def close(self) -> None:
        """End the session within seconds."""
        if self._loop.is_closed():
            return
        self._drop()
        self._loop.close()

    def _run(self, step: Coroutine[Any, Any, Result]) -> Result:
        try:
            return self._loop.run_until_complete(step)
        except BaseException as error:
            # After a time-out nobody knows what the session does; a failed statement alone leaves it usable.
            if not isinstance(error, asyncpg.PostgresError) or self._session is None or self._session.is_closed():
                self._drop()
            raise

    async def _connected(self) -> asyncpg.Connection:
        if self._session is None or self._session.is_closed():
            self._prepared.clear()
            try:
                self._session = await self._address.connect(read_only=self._read_only)
            except UsageError as refused:
                if not self._was_let_in:
                    raise
                # Somebody is changing the login, or restores the database: for those who are at work an outage.
                raise self._address.unavailable(refused) from refused
            self._was_let_in = True
        return self._session

    async def _execute(self, sql: str, parameters: Sequence[Any]) -> _Answer:
        statement = await self._statement(sql)
        rows = await statement.fetch(*parameters)
        return _Answer(rows, statement.get_statusmsg())

    async def _execute_many(self, sql: str, parameters: Sequence[Sequence[Any]]) -> None:
        await (await self._statement(sql)).executemany(parameters)

    async def _statement(self, sql: str) -> PreparedStatement:
        session = await self._connected()
        if sql not in self._prepared:
            self._prepared[sql] = await session.prepare(_numbered(sql))
        return self._prepared[sql]

    async def _script(self, sql: str) -> None:
        await (await self._connected()).execute(sql)

    def _drop(self) -> None:
        session, self._session = self._session, None
        self._prepared.clear()
        if session is not None:
            session.terminate()
            self._loop.run_until_complete(asyncio.sleep(0))  # lets the transport close its socket


@functools.cache
def _numbered(sql: str) -> str:
    """Return a statement with PostgreSQL's placeholders; a bare `?` is the next one."""
    numbers = itertools.count(1)
    return _PLACEHOLDER.sub(lambda mark: f"${mark[1] or next(numbers)}", sql)
