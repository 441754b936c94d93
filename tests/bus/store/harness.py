"""One store as a conformance test sees it, whichever database it is in."""

from __future__ import annotations

__all__ = ["AGENT", "PostgresHarness", "SqliteHarness", "StoreHarness"]

import itertools
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import anyio
import anyio.to_thread

from interlock.bus.clock import Clock
from interlock.bus.private_postgres import PrivatePostgres
from interlock.bus.store.moments import to_micros
from interlock.bus.store.postgres.address import PostgresAddress
from interlock.bus.store.postgres.database import PostgresDatabase
from interlock.bus.store.postgres.store import PostgresStore, migrate_schema
from interlock.bus.store.sql import SqlStore
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.store.writer import FailPoint

AGENT = "devops-agent"

_numbers = itertools.count(1)


class StoreHarness(Protocol):
    """Opens a store, and looks into its database behind its back."""

    @property
    def address(self) -> str:
        """What `open_store` takes."""
        ...

    async def open(self, clock: Clock, *, fail_point: FailPoint | None = None) -> SqlStore:
        """Open the store, made on the first call; the caller closes it."""
        ...

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement in a session of its own; blocks."""
        ...


class SqliteHarness:
    """A file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def address(self) -> str:
        return str(self._path)

    async def open(self, clock: Clock, *, fail_point: FailPoint | None = None) -> SqlStore:
        return await SqliteStore.open(self._path, agent=AGENT, clock=clock, fail_point=fail_point)

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
            return connection.execute(sql, parameters).fetchall()


class PostgresHarness:
    """A database of its own in a running server."""

    def __init__(self, server: PrivatePostgres) -> None:
        self.server = server
        self._database = f"store{next(_numbers)}"
        self._made = False

    @property
    def address(self) -> str:
        return self.server.url(self._database)

    async def open(self, clock: Clock, *, fail_point: FailPoint | None = None) -> PostgresStore:
        if not self._made:
            await anyio.to_thread.run_sync(self.make, to_micros(clock.now()))
        return await PostgresStore.open(self.address, agent=AGENT, clock=clock, fail_point=fail_point)

    def make(self, now: int = 0) -> None:
        """Make the database and the schema; blocks."""
        self.make_database()
        migrate_schema(self.address, agent=AGENT, now=now)

    def make_database(self) -> None:
        """Make the database alone; blocks."""
        self._ask(self.server.url(), f"CREATE DATABASE {self._database}")
        self._made = True

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._ask(self.address, sql, parameters)

    def _ask(self, url: str, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        database = PostgresDatabase(PostgresAddress(url, AGENT), announcer="")
        with closing(database):
            return [tuple(row) for row in database.execute(sql, parameters).fetchall()]
