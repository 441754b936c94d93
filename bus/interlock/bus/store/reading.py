"""A look into another process's store: a second connection that can only read, beside those that write.

For command lines and consoles. What the store's owners write is seen as it is committed, and never held up.
"""

from __future__ import annotations

__all__ = ["StoreReader"]

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from interlock.bus.store import approvals, audit, dead, workflows
from interlock.bus.store.database import Connection, Database, StoreUnavailableError
from interlock.bus.store.moments import from_micros, to_micros
from interlock.bus.store.records import ApprovalRow, AuditRow, DeadRow, RejectionRow, TimerRow, WorkflowRow
from interlock.bus.store.schema.migrating import Dialect, applied_steps
from interlock.bus.store.schema.revisions import known_revisions
from interlock.bus.store.sqlite import SqliteDatabase
from interlock.bus.store.standing import Standing, standing
from interlock.bus.store.timers import TIMER
from interlock.protocol.errors import UsageError

_BUSY_TIMEOUT = 5.0


class StoreReader:
    """Reads one agent's store; use it as a context manager, in one thread.

    Every call takes microseconds to milliseconds, so it is not asynchronous. Any call may raise StoreUnavailableError
    when the store cannot be read.
    """

    def __init__(self, database: Database, *, dialect: Dialect, name: str) -> None:
        """Prefer `open_reader`. Closes the database when it is no store of this release, and raises UsageError."""
        self._database = database
        self._dialect: Dialect = dialect
        self._name = name
        try:
            self._check_schema()
        except BaseException:
            database.close()
            raise

    def __repr__(self) -> str:
        return f"StoreReader({self._name!r})"

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> StoreReader:
        """Open a SQLite file for reading; its owner may be at work, or gone.

        Raises UsageError when there is no such store, or it is not of this release, StoreUnavailableError when it
        cannot be opened.
        """
        file = Path(path)
        if not file.is_file():
            raise UsageError(f"there is no store {file}: has its agent been started with this state_dir?")
        try:
            connection = sqlite3.connect(
                f"{file.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT
            )
        except sqlite3.Error as error:
            raise StoreUnavailableError(f"the store {file} cannot be opened for reading: {error}") from error
        connection.row_factory = sqlite3.Row
        return cls(SqliteDatabase(connection), dialect="sqlite", name=str(file))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection. Idempotent."""
        self._database.close()

    def workflow(self, workflow_id: str) -> WorkflowRow | None:
        """Return one workflow's stored state."""
        with self._reading() as db:
            return workflows.load(db, workflow_id)

    def workflows(self) -> tuple[WorkflowRow, ...]:
        """Return all workflows, the latest updated first."""
        with self._reading() as db:
            return workflows.every(db)

    def timers(self, conversation_id: str) -> tuple[TimerRow, ...]:
        """Return the timers that a conversation has set, the next one first."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT name, due_at FROM timer WHERE conversation_id = ? ORDER BY due_at, name", (conversation_id,)
            ).fetchall()
        return tuple(TimerRow(conversation_id, row["name"], from_micros(row["due_at"])) for row in rows)

    def approval(self, approval_id: str) -> ApprovalRow | None:
        """Return one approval."""
        with self._reading() as db:
            return approvals.load(db, approval_id)

    def approvals(self, *, conversation_id: str | None = None) -> tuple[ApprovalRow, ...]:
        """Return a conversation's approvals, or everyone's, oldest first."""
        with self._reading() as db:
            return approvals.of_conversation(db, conversation_id)

    def audit(self, *, conversation_id: str | None = None) -> tuple[AuditRow, ...]:
        """Return a conversation's audit trail, or the whole of it, in order."""
        with self._reading() as db:
            return audit.trail(db, conversation_id)

    def dead(self, *, limit: int = 100, after: int = 0, settled: bool = False) -> tuple[DeadRow, ...]:
        """Return the dead, oldest first; see `Store.dead`."""
        with self._reading() as db:
            return dead.listed(db, limit=limit, after=after, settled=settled)

    def letter(self, seq: int) -> DeadRow | None:
        """Return one message of the inbox with its history, dead or not."""
        with self._reading() as db:
            return dead.letter(db, seq=seq)

    def standing(self, *, now: datetime) -> Standing:
        """Return how much lies where, and what is late."""
        with self._reading() as db:
            return standing(db, now=now)

    def rejections(self) -> tuple[RejectionRow, ...]:
        """Return why messages were parked, the latest first."""
        with self._reading() as db:
            return dead.rejections(db)

    def inbox_state(self, message_id: str) -> str | None:
        """Return what became of a message: `ready`, `leased`, `done` or `dead`; None when it is not in the inbox."""
        with self._reading() as db:
            row = db.execute("SELECT state FROM inbox WHERE message_id = ?", (message_id,)).fetchone()
        return None if row is None else str(row["state"])

    def claimable(self, now: datetime) -> int:
        """Return how many messages of the inbox could be worked on at this moment, and are not."""
        with self._reading() as db:
            return int(
                db.execute(
                    "SELECT count(*) FROM inbox_head WHERE not_before IS NULL OR not_before <= ?", (to_micros(now),)
                ).fetchone()[0]
            )

    def consequences(self, message_id: str) -> tuple[bytes, ...]:
        """Return the encoded messages that the agent has sent, or is about to send, because of this one, in order."""
        with self._reading() as db:
            rows = db.execute("SELECT body FROM outbox WHERE causation_id = ? ORDER BY seq", (message_id,)).fetchall()
        return tuple(bytes(row["body"]) for row in rows)

    def conversation(self, conversation_id: str) -> tuple[bytes, ...]:
        """Return the encoded messages of a conversation that the agent has sent or is about to send, in order."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT body FROM outbox WHERE conversation_id = ? ORDER BY seq", (conversation_id,)
            ).fetchall()
        return tuple(bytes(row["body"]) for row in rows)

    def messages(self) -> tuple[bytes, ...]:
        """Return the encoded messages that the agent has taken in, sent or is about to send, in order of the moment.

        Timers, and what was pruned, are not among them.
        """
        with self._reading() as db:
            rows = db.execute(
                "SELECT body, received_at AS at, seq FROM inbox WHERE type != ?1 "
                "UNION ALL SELECT body, created_at, seq FROM outbox ORDER BY at, seq",
                (TIMER,),
            ).fetchall()
        return tuple(bytes(row["body"]) for row in rows)

    def _check_schema(self) -> None:
        with self._reading() as db:
            applied = applied_steps(db, dialect=self._dialect)
        if not applied:
            raise UsageError(f"{self._name} is not an agent's store: give the state_dir of the running agents")
        schema, known = max(applied), known_revisions()[-1].number
        if schema != known:
            raise UsageError(
                f"the store {self._name} has schema {schema}, this release reads {known}: "
                "use the release that the agents run, or start them with this one"
            )

    @contextmanager
    def _reading(self) -> Generator[Connection]:
        try:
            yield self._database.connection
        except self._database.errors as error:
            raise StoreUnavailableError(f"the store {self._name} cannot be read: {error}") from error
