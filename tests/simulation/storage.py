"""The real store over SQLite in memory, run inside of the event loop: what was committed survives its process.

It knows nothing of what is stored; faults are drawn per transaction.
"""

# The writer's own code runs its groups; only its thread is replaced.
# pyright: reportPrivateUsage=false
from __future__ import annotations

__all__ = ["Disk", "open_store"]

import sqlite3
import threading
from typing import Any, cast

from interlock.bus.clock import Clock
from interlock.bus.store import owner
from interlock.bus.store import writer as writers
from interlock.bus.store.moments import to_micros
from interlock.bus.store.schema.migrating import migrate
from interlock.bus.store.sql import SqlStore
from interlock.bus.store.sqlite import SqliteDatabase
from interlock.bus.store.writer import Writer
from simulation.choices import Choices, Fault
from simulation.event_loop import VirtualLoop

_KEPT = {"schema_version", "alembic_version"}


class Disk(SqliteDatabase):
    """An agent's database, which its processes come and go on; nothing of a transaction that they left open stays."""

    def __init__(self) -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        for pragma in ("foreign_keys = ON", "temp_store = MEMORY", "synchronous = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        super().__init__(connection)
        self.choices: Choices | None = None
        self.is_away = False
        self.is_local = True
        migrate(self, dialect="sqlite", now=0)
        # Between two runs everything is deleted, also what is else only appended to: a new database for each run
        # would have every statement prepared anew, a third of a run's time.
        guards = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%BEFORE DELETE%'"
        for (name,) in connection.execute(guards).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        self._tables = tuple(
            row[0]
            for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            if row[0] not in _KEPT
        )

    def begin_run(self, choices: Choices) -> None:
        """Empty it."""
        self.rollback()
        self.connection.execute("PRAGMA foreign_keys = OFF")
        self.connection.execute("BEGIN")
        for table in self._tables:
            self.connection.execute(f"DELETE FROM {table}")  # noqa: S608 - the schema's own names
        self.connection.execute("COMMIT")
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.choices = choices
        self.is_away = False
        # Only over a network is the answer to a commit ever lost; and there every operation of a failed group is
        # repeated by itself.
        self.is_local = not choices.has(Fault.COMMIT_LOST)

    def calm_down(self) -> None:
        """Cause no further faults."""
        self.choices = None
        self.is_away = False

    def begin(self, *, alone: bool = True) -> None:  # noqa: ARG002 - nobody is beside it
        if self.is_away:
            raise sqlite3.OperationalError("database is locked")
        self.connection.execute("BEGIN")

    def commit(self) -> None:
        self.connection.execute("COMMIT")
        if not self.is_local and self.choices is not None and self.choices.strikes(Fault.COMMIT_LOST):
            raise sqlite3.OperationalError("the connection was lost")

    def close(self) -> None:
        """A disk outlives whoever writes to it."""


class _NoThread:
    """Stands where the writer's thread would be."""

    def join(self) -> None:
        """It has ended."""


class _Pumped:
    """The writer's queue, which has the event loop run what is put into it, a moment later and all together."""

    def __init__(self, pump: Any) -> None:
        self._pump = pump
        self._items: list[Any] = []

    def put(self, item: Any) -> None:
        self._items.append(item)
        if len(self._items) == 1:
            self._pump()

    def get(self) -> Any:
        return self._items.pop(0)

    def empty(self) -> bool:
        return not self._items


class _LoopWriter(Writer):
    """The writer without its thread: a group is run when the disk would have come to it."""

    def __init__(self, disk: Disk, *, name: str, loop: VirtualLoop, choices: Choices) -> None:
        self._virtual = loop
        self._choices = choices
        super().__init__(disk, name=name)
        self._tasks = cast("Any", _Pumped(self._pump))

    def _started(self) -> threading.Thread:
        return cast("threading.Thread", _NoThread())

    def _pump(self) -> None:
        self._virtual.call_later(self._choices.latency(), self._turn)

    def _turn(self) -> None:
        if self._tasks.empty():
            return
        group = self._next_group()
        if not group:
            self._end([])
            return
        if self._virtual.reaping:
            reason = "its process is gone"
            outcomes = [writers._Outcome(task, error=self._unavailable(reason)) for task in group]
        else:
            outcomes = self._commit(group)
        # The answer takes its way: a process may die after the commit and before it knows.
        self._virtual.call_soon(writers._settle, outcomes)
        if not self._tasks.empty():
            self._pump()


def open_store(disk: Disk, *, agent: str, clock: Clock, loop: VirtualLoop, choices: Choices) -> SqlStore:
    """Become the owner of a disk, as `SqliteStore.open` does of a file; whoever owned it before is dead."""
    disk.rollback()
    now = to_micros(clock.now())
    disk.connection.execute("BEGIN")
    epoch = owner.take_over(disk.connection, agent=agent, now=now)
    disk.connection.execute("COMMIT")
    writer = _LoopWriter(disk, name=agent, loop=loop, choices=choices)
    return SqlStore(writer, agent=agent, replica=None, epoch=epoch, clock=clock)
