"""What statements and the writer need from a database, whichever it is; it knows no statement and no driver.

Statements are written once for all dialects: `?` or `?1` stands for a parameter, every dialect's peculiarities stay
out of them, and transactions are begun and ended by the writer alone.
"""

from __future__ import annotations

__all__ = ["Connection", "Cursor", "Database", "Row", "StoreUnavailableError"]

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

from interlock.bus.store.news import News
from interlock.protocol.errors import TransientError


class StoreUnavailableError(TransientError):
    """Raised when the database cannot be read or written at present, or the store is closed.

    Nothing was written, unless the text says otherwise: a commit whose answer was lost may have been done.
    """


class Row(Protocol):
    """One row of an answer, by column name or number."""

    def __getitem__(self, key: Any, /) -> Any: ...


class Cursor(Protocol):
    """The answer to one statement."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement has written."""
        ...

    def fetchone(self) -> Any:
        """Return the next row, None when there is none."""
        ...

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Runs statements, one after the other; `sqlite3.Connection` is one."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Cursor:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Any:
        """Run one statement for each set of parameters; there is no answer."""
        ...


class Database(Protocol):
    """A connection with its transactions, used by one thread at a time."""

    @property
    def connection(self) -> Connection:
        """Where statements run."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether `begin` has been called, and neither `commit` nor `rollback` nor the database has ended it."""
        ...

    @property
    def errors(self) -> tuple[type[Exception], ...]:
        """What the driver raises."""
        ...

    @property
    def is_local(self) -> bool:
        """Whether it runs in this process: then savepoints cost little, and no answer to a commit is ever lost."""
        ...

    def is_outage(self, error: Exception) -> bool:
        """Return whether an error says that the database cannot work, not that a statement is wrong for its data."""
        ...

    def begin(self, *, alone: bool = True) -> None:
        """Begin a transaction, `alone` for one that no other writer of this store runs beside.

        The others run beside each other where the database can; what they write must then be nobody else's.
        """
        ...

    def commit(self) -> None:
        """End it well."""
        ...

    def rollback(self) -> None:
        """End it without a trace; a connection that is lost has done so already."""
        ...

    def announce(self, news: News) -> None:
        """Tell the store's other processes what was committed, if there can be any."""
        ...

    def close(self) -> None:
        """Release the connection. Idempotent."""
        ...
