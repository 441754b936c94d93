"""The store of one agent in one SQLite file, owned by one process; statements live in the modules of their nouns."""

from __future__ import annotations

__all__ = ["OwnedFile", "SqliteDatabase", "SqliteStore", "own_file"]

import os
import sqlite3
from functools import partial
from pathlib import Path
from typing import Self

import anyio.to_thread

from interlock.bus.clock import Clock
from interlock.bus.store import owner
from interlock.bus.store.database import StoreUnavailableError
from interlock.bus.store.lock import FileLock
from interlock.bus.store.moments import to_micros
from interlock.bus.store.news import News
from interlock.bus.store.schema.migrating import migrate
from interlock.bus.store.sql import SqlStore
from interlock.bus.store.writer import FailPoint, Writer

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit survives power loss; shared by a group it costs a quarter
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -20000",
)


class SqliteDatabase:
    """Implements `Database` over a connection in autocommit mode that any thread may use."""

    is_local = True
    errors: tuple[type[Exception], ...] = (sqlite3.Error,)

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    @property
    def in_transaction(self) -> bool:
        """Whether SQLite has not ended it by itself, as it does when the disk is full."""
        return self.connection.in_transaction

    def is_outage(self, error: Exception) -> bool:
        """Return whether the file cannot be read or written, or a statement be run."""
        return isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError

    def begin(self, *, alone: bool = True) -> None:  # noqa: ARG002 - nobody is beside it
        """Begin as the only writer of the file."""
        self.connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Write to the disk."""
        self.connection.execute("COMMIT")

    def rollback(self) -> None:
        """Undo everything since `begin`."""
        if self.connection.in_transaction:
            self.connection.execute("ROLLBACK")

    def announce(self, news: News) -> None:
        """Nobody else has the file open for writing."""

    def close(self) -> None:
        """Close the file."""
        self.connection.close()


class OwnedFile(SqliteDatabase):
    """A file that no other process can have open for writing, until it is closed."""

    def __init__(self, connection: sqlite3.Connection, *, lock: FileLock, epoch: int) -> None:
        super().__init__(connection)
        self._lock = lock
        self.epoch = epoch

    def close(self) -> None:
        """Close the file and let the next owner in."""
        super().close()
        self._lock.release()


class SqliteStore(SqlStore):
    """A store in a file, which no other process can have open for writing."""

    def __init__(self, writer: Writer, *, path: Path, agent: str, epoch: int, clock: Clock) -> None:
        """Take over what `open` has prepared."""
        super().__init__(writer, agent=agent, replica=None, epoch=epoch, clock=clock)
        self._path = path

    def __repr__(self) -> str:
        return f"SqliteStore({str(self._path)!r}, agent={self._agent!r}, epoch={self._epoch})"

    @classmethod
    async def open(
        cls, path: str | os.PathLike[str], *, agent: str, clock: Clock, fail_point: FailPoint | None = None
    ) -> Self:
        """Become the owner of the file, making or migrating it; messages that a dead owner had leased are ready again.

        `fail_point` is for crash tests. Raises StoreBusyError when another process owns the file, UsageError when it
        is another agent's or a later release's, StoreUnavailableError when it cannot be opened.
        """
        file = Path(path)
        owned = await anyio.to_thread.run_sync(partial(own_file, file, agent=agent, now=to_micros(clock.now())))
        writer = Writer(owned, name=str(file), fail_point=fail_point)
        return cls(writer, path=file, agent=agent, epoch=owned.epoch, clock=clock)

    @property
    def epoch(self) -> int:
        """How often the file has been opened."""
        return self._epoch


def own_file(path: Path, *, agent: str, now: int) -> OwnedFile:
    """Become the owner of a file; raises as `SqliteStore.open` does. `now` is in microseconds."""
    try:
        lock = FileLock.acquire(path)
    except OSError as error:
        raise StoreUnavailableError(f"the store {path} cannot be opened: {error.strerror}") from error
    try:
        return _prepared(path, lock, agent, now)
    except BaseException:
        lock.release()
        raise


def _prepared(path: Path, lock: FileLock, agent: str, now: int) -> OwnedFile:
    """Open and migrate the file, and begin a new epoch."""
    try:
        # Readable for its owner only; SQLite gives the same rights to the files that it puts beside it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailableError(f"the store {path} cannot be opened: {error}") from error
    database = SqliteDatabase(connection)
    try:
        connection.row_factory = sqlite3.Row
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        migrate(database, dialect="sqlite", now=now)
        database.begin()
        epoch = owner.take_over(connection, agent=agent, now=now)
        database.commit()
    except sqlite3.Error as error:
        connection.close()
        raise StoreUnavailableError(f"the store {path} cannot be opened: {error}") from error
    except BaseException:
        connection.close()
        raise
    return OwnedFile(connection, lock=lock, epoch=epoch)
