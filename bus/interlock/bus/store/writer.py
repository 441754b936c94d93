"""The one thread that speaks to the database file; it knows transactions, and nothing of what they hold.

Operations queue up while the previous commit is on its way to the disk, and whatever has queued up shares the next
one: nobody lingers for company, and under load one fsync serves hundreds of operations.
"""

from __future__ import annotations

__all__ = ["FailPoint", "StoreUnavailableError", "Writer", "WriterStatistics"]

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import anyio

from interlock.protocol.errors import TransientError

Result = TypeVar("Result")

FailPoint: TypeAlias = Callable[[str], None]
"""Called in the writer's thread with `begun`, `before_commit` or `after_commit`; crash tests end the process there."""

_LARGEST_GROUP = 512


class StoreUnavailableError(TransientError):
    """Raised when the database cannot be read or written at present, or the store is closed.

    Nothing was written, unless the text says that the writer has ended: then it may have been in the middle of it.
    """


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """What the writer has done since it was started."""

    operations: int
    """Those whose group was committed, reads and failed ones included."""
    commits: int


@dataclass(frozen=True, slots=True)
class _Task:
    operation: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Outcome:
    task: _Task
    result: Any = None
    error: BaseException | None = None


class Writer:
    """Runs operations one after the other on a connection that is its own from now on.

    Each operation is atomic: it has a savepoint of its own inside the group's transaction.
    """

    def __init__(self, connection: sqlite3.Connection, *, name: str, fail_point: FailPoint | None = None) -> None:
        """Start the thread. The connection must be in autocommit mode and usable from another thread."""
        self._connection = connection
        self._name = name
        self._reach = fail_point or _pass
        self._loop = asyncio.get_running_loop()
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._ended = self._loop.create_future()
        self._operations = 0
        self._commits = 0
        self._thread = threading.Thread(target=self._run, name=f"store {name}", daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"Writer({self._name!r}, closed={self._closed}, operations={self._operations}, commits={self._commits})"

    def statistics(self) -> WriterStatistics:
        """Return the counts so far."""
        return WriterStatistics(operations=self._operations, commits=self._commits)

    async def run(self, operation: Callable[[sqlite3.Connection], Result]) -> Result:
        """Run an operation; its result is returned when it is durable.

        What the operation raises is raised here, and leaves no trace in the database. Cancelling gives up waiting, not
        the operation: it is then done or not, never by half. Raises StoreUnavailableError when the database refuses.
        """
        future: asyncio.Future[Result] = self._loop.create_future()
        with self._gate:
            if self._closed:
                raise self._unavailable("it is closed; open it again")
            self._tasks.put(_Task(operation, future))
        return await future

    async def aclose(self) -> None:
        """Run what is queued, then close the connection and end the thread. Idempotent."""
        with self._gate:
            if not self._closed:
                self._closed = True
                self._tasks.put(None)
        # Bounded: what is queued is at most a few commits, and each waits no longer than SQLite's busy timeout.
        with anyio.CancelScope(shield=True):
            await self._ended
        self._thread.join()

    def _run(self) -> None:
        group: list[_Task] = []
        try:
            while group := self._next_group():
                outcomes = self._commit(group)
                self._call(_settle, outcomes)
        finally:
            try:
                self._connection.close()
            finally:
                self._end(group)

    def _next_group(self) -> list[_Task]:
        """Wait for one operation and take along what has queued up behind it; empty when the writer is to end."""
        task = self._tasks.get()
        group: list[_Task] = []
        while task is not None:
            group.append(task)
            if len(group) == _LARGEST_GROUP or self._tasks.empty():
                return group
            task = self._tasks.get()
        if group:
            self._tasks.put(None)
        return group

    def _commit(self, group: list[_Task]) -> list[_Outcome]:
        """Run a group in one transaction. When the transaction fails, so has every operation of the group."""
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            self._reach("begun")
            outcomes = [self._attempt(task) for task in group]
            self._reach("before_commit")
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return [
                _Outcome(task, error=self._unavailable(f"{error}; nothing was written, try again", error))
                for task in group
            ]
        self._reach("after_commit")
        self._commits += 1
        self._operations += len(group)
        return outcomes

    def _attempt(self, task: _Task) -> _Outcome:
        connection = self._connection
        connection.execute("SAVEPOINT operation")
        try:
            outcome = _Outcome(task, result=task.operation(connection))
        except Exception as error:  # whatever an operation raises belongs to the one who waits for it
            if not connection.in_transaction:
                # SQLite has rolled the whole transaction back (disk full, I/O error): the group is lost.
                raise sqlite3.OperationalError(f"transaction rolled back: {error}") from error
            connection.execute("ROLLBACK TO operation")
            outcome = _Outcome(task, error=self._translated(error))
        connection.execute("RELEASE operation")
        return outcome

    def _translated(self, error: Exception) -> Exception:
        """Return what the database could not do as our error; everything else is the operation's own statement."""
        if isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError:
            return self._unavailable(f"{error}; nothing was written, try again", error)
        return error

    def _unavailable(self, reason: str, cause: Exception | None = None) -> StoreUnavailableError:
        error = StoreUnavailableError(f"the store {self._name} cannot be used: {reason}")
        error.__cause__ = cause
        return error

    def _end(self, group: list[_Task]) -> None:
        """Fail everyone who still waits, so that nobody waits for a thread that is gone."""
        with self._gate:
            self._closed = True
        while not self._tasks.empty():
            task = self._tasks.get()
            if task is not None:
                group.append(task)
        reason = "its writer has ended; open it again and look at what was written"
        self._call(_settle, [_Outcome(task, error=self._unavailable(reason)) for task in group])
        self._call(_finish, self._ended)

    def _call(self, callback: Callable[[Any], None], argument: object) -> None:
        """Hand over to the event loop; when that is closed, nobody waits any more."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(callback, argument)


def _settle(outcomes: list[_Outcome]) -> None:
    for outcome in outcomes:
        future = outcome.task.future
        if future.done():  # its awaiter was cancelled
            continue
        if outcome.error is None:
            future.set_result(outcome.result)
        else:
            future.set_exception(outcome.error)


def _finish(ended: asyncio.Future[None]) -> None:
    ended.set_result(None)


def _pass(_moment: str) -> None:
    """Reach a fail point outside of crash tests."""
