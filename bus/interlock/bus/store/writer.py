"""The one thread that speaks to the database; it knows transactions, and nothing of what they hold.

Operations queue up while the previous commit is on its way to the disk, and whatever has queued up shares the next
one: nobody lingers for company, and under load one fsync serves hundreds of operations.
"""

from __future__ import annotations

__all__ = ["FailPoint", "Manner", "Part", "StoreUnavailableError", "Writer", "WriterStatistics"]

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, TypeVar

import anyio

from interlock.bus.store.database import Connection, Database, StoreUnavailableError
from interlock.bus.store.news import News

Result = TypeVar("Result")

FailPoint: TypeAlias = Callable[[str], None]
"""Called in the writer's thread with `begun`, `before_commit` or `after_commit`; crash tests end the process there."""

Manner: TypeAlias = Literal["alone", "beside", "reading"]
"""How an operation bears other writers of the store: not at all, where what it writes is nobody else's, or always."""

_LARGEST_GROUP = 512


@dataclass(frozen=True, slots=True)
class WriterStatistics:
    """What the writer has done since it was started."""

    operations: int
    """Those whose group was committed, reads and failed ones included."""
    commits: int


@dataclass(frozen=True, slots=True)
class Part:
    """What an operation is where the database runs several of its kind as one."""

    together: Callable[[Connection, Sequence[Any]], Sequence[Any]]
    """Runs several of the kind, given their arguments, and returns a result for each; fails as a whole."""
    argument: Any
    at_once: Callable[[Connection, Sequence[Any]], Sequence[Any]] | None = None
    """Does the same in one statement that needs no transaction, or raises; what it did by then may be done again."""


@dataclass(frozen=True, slots=True)
class _Task:
    operation: Callable[[Connection], Any]
    future: asyncio.Future[Any]
    news: News | Callable[[Any], News]
    part: Part | None = None
    manner: Manner = "alone"

    def tells(self, result: Any) -> News:
        """Return what a result is news of."""
        return self.news if isinstance(self.news, News) else self.news(result)


@dataclass(frozen=True, slots=True)
class _Outcome:
    task: _Task
    result: Any = None
    error: BaseException | None = None


class _OperationFailedError(Exception):
    """Raised when an operation has failed, and the transaction that it shares with others with it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Writer:
    """Runs operations one after the other on a database that is its own from now on.

    Each operation is atomic. A group is first run without savepoints, which are half of all statements; when one of its
    operations fails, all are run again: each under a savepoint of its own, or, where those are dear, one by one.
    """

    def __init__(self, database: Database, *, name: str, fail_point: FailPoint | None = None) -> None:
        """Start the thread. The database must be usable from another thread."""
        self._database = database
        self._name = name
        self._reach = fail_point or _pass
        self._loop = asyncio.get_running_loop()
        self._asked: list[_Task] = []
        """What this turn of the event loop has asked for; the thread is woken once for all of it."""
        self._tasks: queue.SimpleQueue[list[_Task] | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._closed = False
        self._ended = self._loop.create_future()
        self._operations = 0
        self._commits = 0
        self._thread = self._started()

    def __repr__(self) -> str:
        return f"Writer({self._name!r}, closed={self._closed}, operations={self._operations}, commits={self._commits})"

    def statistics(self) -> WriterStatistics:
        """Return the counts so far."""
        return WriterStatistics(operations=self._operations, commits=self._commits)

    async def run(
        self,
        operation: Callable[[Connection], Result],
        *,
        news: News | Callable[[Result], News] = News.NOTHING,
        part: Part | None = None,
        manner: Manner = "alone",
    ) -> Result:
        """Run an operation; its result is returned when it is durable. It may be run twice, the first without a trace.

        With `part` those of its kind in the same group may be run as one instead, beside other kinds in any order:
        operations of one group were asked for at the same time. With `news`, which may depend on the result, the
        store's other processes are told. What the operation raises is raised here, and leaves no trace in the database.
        Cancelling gives up waiting, not the operation: it is then done or not, never by half. Raises
        StoreUnavailableError when the database refuses.
        """
        future: asyncio.Future[Result] = self._loop.create_future()
        with self._gate:
            if self._closed:
                raise self._unavailable("it is closed; open it again")
            self._asked.append(_Task(operation, future, news, part, manner))
            if len(self._asked) == 1:
                self._loop.call_soon(self._hand_over)
        return await future

    async def aclose(self) -> None:
        """Run what is queued, then close the connection and end the thread. Idempotent."""
        with self._gate:
            if not self._closed:
                self._closed = True
                if self._asked:
                    self._tasks.put(self._asked.copy())
                    self._asked.clear()
                self._tasks.put(None)
        # Bounded: what is queued is at most a few commits, and each waits no longer than SQLite's busy timeout.
        with anyio.CancelScope(shield=True):
            await self._ended
        self._thread.join()

    def _hand_over(self) -> None:
        with self._gate:
            if not self._closed:
                for first in range(0, len(self._asked), _LARGEST_GROUP):
                    self._tasks.put(self._asked[first : first + _LARGEST_GROUP])
                self._asked.clear()

    def _started(self) -> threading.Thread:
        """Start what runs the operations; a simulation runs them in the event loop instead."""
        thread = threading.Thread(target=self._run, name=f"store {self._name}", daemon=True)
        thread.start()
        return thread

    def _run(self) -> None:
        group: list[_Task] = []
        try:
            while group := self._next_group():
                news = News.NOTHING
                for tasks, run in self._by_manner(group):
                    outcomes = run(tasks)
                    self._call(_settle, outcomes)
                    for outcome in outcomes:
                        if outcome.error is None:
                            news |= outcome.task.tells(outcome.result)
                if news:
                    self._announce(news)
        finally:
            try:
                self._database.close()
            finally:
                self._end(group)

    def _next_group(self) -> list[_Task]:
        """Wait for one operation and take along what has queued up behind it; empty when the writer is to end."""
        tasks = self._tasks.get()
        group: list[_Task] = []
        while tasks is not None:
            group.extend(tasks)
            if len(group) >= _LARGEST_GROUP or self._tasks.empty():
                return group
            tasks = self._tasks.get()
        if group:
            self._tasks.put(None)
        return group

    def _by_manner(self, group: list[_Task]) -> list[tuple[list[_Task], Callable[[list[_Task]], list[_Outcome]]]]:
        """Divide a group into what needs a transaction, and what then reads what is there."""
        if self._database.is_local:  # beginning costs nothing there, and one snapshot serves all
            return [(group, self._commit)]
        writing = [task for task in group if task.manner != "reading"]
        reading = [task for task in group if task.manner == "reading"]
        parts = [(writing, self._write), (reading, self._read)]
        return [(tasks, run) for tasks, run in parts if tasks]

    def _write(self, group: list[_Task]) -> list[_Outcome]:
        """Run a group in one statement if it can be, otherwise in a transaction."""
        parts = [task.part for task in group if task.part is not None]
        at_once = parts[0].at_once if parts else None
        if at_once is None or len(parts) < len(group) or any(part.at_once is not at_once for part in parts):
            return self._commit(group)
        self._reach("begun")
        try:
            results = at_once(self._database.connection, [part.argument for part in parts])
        except Exception:  # the transaction tells whose fault it is
            return self._commit(group)
        self._reach("after_commit")
        self._commits += 1
        self._operations += len(group)
        return [_Outcome(task, result=result) for task, result in zip(group, results, strict=True)]

    def _read(self, group: list[_Task]) -> list[_Outcome]:
        """Run operations that only read, outside of any transaction and beside all other writers."""
        outcomes: list[_Outcome] = []
        for task in group:
            try:
                outcomes.append(_Outcome(task, result=task.operation(self._database.connection)))
            except Exception as error:  # whatever an operation raises belongs to the one who waits for it
                outcomes.append(_Outcome(task, error=self._translated(error)))
        self._operations += len(group)
        return outcomes

    def _commit(self, group: list[_Task], *, apart: bool = False) -> list[_Outcome]:
        """Run a group in one transaction. When the transaction fails, so has every operation of the group.

        `apart` gives each operation a savepoint.
        """
        database = self._database
        fate = "nothing was written"
        try:
            database.begin(alone=any(task.manner == "alone" for task in group))
            self._reach("begun")
            if apart:
                outcomes = [self._attempt_apart(task) for task in group]
            else:
                outcomes = [outcome for tasks in self._kinds(group) for outcome in self._attempt_together(tasks)]
            self._reach("before_commit")
            if not database.is_local:
                fate = "it may have been written all the same"
            database.commit()
        except _OperationFailedError as failed:
            database.rollback()
            if len(group) == 1:
                return [_Outcome(group[0], error=failed.error)]
            if database.is_local:
                return self._commit(group, apart=True)
            return [outcome for task in group for outcome in self._commit([task])]
        except database.errors as error:
            database.rollback()
            return [
                _Outcome(task, error=self._unavailable(f"{error or type(error).__name__}; {fate}, try again", error))
                for task in group
            ]
        self._reach("after_commit")
        self._commits += 1
        self._operations += len(group)
        return outcomes

    def _kinds(self, group: list[_Task]) -> list[list[_Task]]:
        """Divide a group into what is run as one, in the order in which the first of each was asked for."""
        if self._database.is_local:
            return [[task] for task in group]
        kinds: dict[object, list[_Task]] = {}
        for task in group:
            kinds.setdefault(task.future if task.part is None else task.part.together, []).append(task)
        return list(kinds.values())

    def _attempt_apart(self, task: _Task) -> _Outcome:
        """Run an operation of a group under a savepoint, so that its failure is its own."""
        database, connection = self._database, self._database.connection
        connection.execute("SAVEPOINT operation")
        try:
            outcome = _Outcome(task, result=task.operation(connection))
        except Exception as error:  # whatever an operation raises belongs to the one who waits for it
            if not database.in_transaction:
                # SQLite has rolled the whole transaction back (disk full, I/O error): the group is lost.
                raise sqlite3.OperationalError(f"transaction rolled back: {error}") from error
            connection.execute("ROLLBACK TO operation")
            outcome = _Outcome(task, error=self._translated(error))
        connection.execute("RELEASE operation")
        return outcome

    def _attempt_together(self, tasks: list[_Task]) -> list[_Outcome]:
        """Run operations of a group that fails as a whole."""
        connection = self._database.connection
        parts = [task.part for task in tasks if task.part is not None]
        try:
            if len(tasks) == 1:
                return [_Outcome(tasks[0], result=tasks[0].operation(connection))]
            results = parts[0].together(connection, [part.argument for part in parts])
        except Exception as error:  # as above
            if not self._database.in_transaction:
                raise  # the connection is lost, or SQLite has rolled back (disk full, I/O error)
            raise _OperationFailedError(self._translated(error)) from error
        return [_Outcome(task, result=result) for task, result in zip(tasks, results, strict=True)]

    def _translated(self, error: Exception) -> Exception:
        """Return what the database could not do as our error; everything else is the operation's own statement."""
        if self._database.is_outage(error):
            return self._unavailable(f"{error}; nothing was written, try again", error)
        return error

    def _announce(self, news: News) -> None:
        with contextlib.suppress(*self._database.errors):  # only a hint: the others look by themselves, later
            self._database.announce(news)

    def _unavailable(self, reason: str, cause: Exception | None = None) -> StoreUnavailableError:
        error = StoreUnavailableError(f"the store {self._name} cannot be used: {reason}")
        error.__cause__ = cause
        return error

    def _end(self, group: list[_Task]) -> None:
        """Fail everyone who still waits, so that nobody waits for a thread that is gone."""
        with self._gate:
            self._closed = True
            group.extend(self._asked)
            self._asked.clear()
        while not self._tasks.empty():
            group.extend(self._tasks.get() or ())
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
