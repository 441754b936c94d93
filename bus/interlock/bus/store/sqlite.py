"""The store of one agent in one SQLite file, owned by one process; statements live in the modules of their nouns."""

from __future__ import annotations

__all__ = ["SqliteStore"]

import os
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Self, TypeVar

import anyio.to_thread

from interlock.bus.clock import Clock
from interlock.bus.store import approvals, audit, consequences, dead, effects, inbox, outbox, owner, timers, workflows
from interlock.bus.store.lock import FileLock
from interlock.bus.store.migrations import MIGRATIONS, migrate
from interlock.bus.store.moments import from_micros, to_micros
from interlock.bus.store.records import (
    ApprovalRow,
    AuditEntry,
    AuditRow,
    Claim,
    Commit,
    DeadRow,
    EffectRow,
    EffectState,
    InboxMessage,
    OutboxMessage,
    Receipt,
    RejectionRow,
    Repair,
    StoreCounts,
    WorkflowRow,
)
from interlock.bus.store.writer import FailPoint, StoreUnavailableError, Writer, WriterStatistics

Result = TypeVar("Result")

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # a commit survives power loss; shared by a group it costs a quarter
    "PRAGMA foreign_keys = ON",
    "PRAGMA busy_timeout = 5000",
    "PRAGMA temp_store = MEMORY",
    "PRAGMA cache_size = -20000",
)
_PRUNED_AT_ONCE = 500


class SqliteStore:
    """Implements `Store`; where a method says nothing more here, the port's promise is all.

    Cancelling a call gives up waiting for it, not the transaction: that happens as a whole or not at all. Any call may
    raise StoreUnavailableError when the file cannot be read or written, or the store is closed.
    """

    def __init__(self, writer: Writer, *, path: Path, lock: FileLock, agent: str, epoch: int, clock: Clock) -> None:
        """Take over what `open` has prepared."""
        self._writer = writer
        self._path = path
        self._lock = lock
        self._agent = agent
        self._epoch = epoch
        self._clock = clock

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
        try:
            lock = FileLock.acquire(file)
        except OSError as error:
            raise StoreUnavailableError(f"the store {file} cannot be opened: {error.strerror}") from error
        try:
            connection, epoch = await anyio.to_thread.run_sync(_prepare, file, agent, to_micros(clock.now()))
        except BaseException:
            lock.release()
            raise
        writer = Writer(connection, name=str(file), fail_point=fail_point)
        return cls(writer, path=file, lock=lock, agent=agent, epoch=epoch, clock=clock)

    @property
    def epoch(self) -> int:
        """How often the file has been opened."""
        return self._epoch

    def statistics(self) -> WriterStatistics:
        """Return how many operations shared how many commits since the store was opened."""
        return self._writer.statistics()

    async def receive(self, message: InboxMessage) -> Receipt:
        """Take a message in."""
        return await self._run(lambda db, _: inbox.receive(db, message))

    async def reject(self, body_hash: str, code: str, reason: str) -> None:
        """Remember a refused message; the same body and code again only counts."""
        await self._run(lambda db, now: inbox.reject(db, body_hash=body_hash, code=code, reason=reason, now=now))

    async def claim(self, *, limit: int, lease: float) -> tuple[Claim, ...]:
        """Lease what is due. When cancelled, what was leased meanwhile is free again once the lease runs out."""
        return await self._run(lambda db, now: inbox.claim(db, limit=limit, until=now + _micros(lease), now=now))

    async def renew(self, claims: Sequence[Claim], *, lease: float) -> tuple[Claim, ...]:
        """Prolong leases."""
        return await self._run(lambda db, now: inbox.renew(db, claims, until=now + _micros(lease)))

    async def finish(self, claim: Claim, commit: Commit) -> None:
        """End the message well, with what follows from it."""

        def finish(db: sqlite3.Connection, now: int) -> None:
            inbox.finish(db, claim, now=now)
            consequences.write(db, commit, now=now)

        await self._run(finish)

    async def retry(self, claim: Claim, *, not_before: datetime, error: str) -> None:
        """Give the message back for later."""
        due = to_micros(not_before)
        await self._run(lambda db, now: inbox.retry(db, claim, not_before=due, error=error, now=now))

    async def release(self, claim: Claim) -> None:
        """Give the message back."""
        await self._run(lambda db, _: inbox.release(db, claim))

    async def bury(self, claim: Claim, *, error: str, commit: Commit | None = None) -> None:
        """Give the message up."""

        def bury(db: sqlite3.Connection, now: int) -> None:
            inbox.bury(db, claim, error=error, now=now)
            if commit is not None:
                consequences.write(db, commit, now=now)

        await self._run(bury)

    async def commit(self, commit: Commit) -> None:
        """Write without a message."""
        await self._run(lambda db, now: consequences.write(db, commit, now=now))

    async def dead(self, *, limit: int = 100, after: int = 0, settled: bool = False) -> tuple[DeadRow, ...]:
        """List the dead."""
        return await self._run(lambda db, _: dead.listed(db, limit=limit, after=after, settled=settled))

    async def letter(self, seq: int) -> DeadRow | None:
        """Load one message with its history."""
        return await self._run(lambda db, _: dead.letter(db, seq=seq))

    async def revive(self, seq: int, repair: Repair) -> None:
        """Give a dead message all its attempts again; its history stays."""
        await self._run(lambda db, now: dead.revive(db, seq=seq, repair=repair, now=now))

    async def drop(self, seq: int, repair: Repair) -> None:
        """Leave a dead message unhandled."""
        await self._run(lambda db, now: dead.drop(db, seq=seq, repair=repair, now=now))

    async def replace(self, seq: int, replacement: InboxMessage, repair: Repair) -> None:
        """Put a message in the place of a dead one."""
        await self._run(lambda db, now: dead.replace(db, seq=seq, replacement=replacement, repair=repair, now=now))

    async def rejections(self) -> tuple[RejectionRow, ...]:
        """List what was refused."""
        return await self._run(lambda db, _: dead.rejections(db))

    async def unsent(self, *, limit: int) -> tuple[OutboxMessage, ...]:
        """List what may be published."""
        return await self._run(lambda db, now: outbox.unsent(db, limit=limit, now=now))

    async def mark_sent(self, message_ids: Sequence[str]) -> None:
        """Record confirms; ids that do not wait are ignored."""
        await self._run(lambda db, now: outbox.mark_sent(db, message_ids, now=now))

    async def postpone(self, message_id: str, *, not_before: datetime, error: str) -> None:
        """Let an outgoing message wait."""
        due = to_micros(not_before)
        await self._run(lambda db, _: outbox.postpone(db, message_id=message_id, not_before=due, error=error))

    async def abandon(self, message_id: str, *, error: str) -> None:
        """Give an outgoing message up."""

        def abandon(db: sqlite3.Connection, now: int) -> None:
            message = outbox.abandon(db, message_id=message_id, error=error, now=now)
            if message is not None:
                details = {"messageId": message_id, "to": message.receiver, "type": message.type, "error": error}
                entry = AuditEntry(message.conversation_id, self._agent, "outgoing_abandoned", details)
                audit.append(db, [entry], now=now)

        await self._run(abandon)

    async def fire_timers(self, now: datetime) -> int:
        """Turn due timers into messages."""
        moment = to_micros(now)
        return await self._run(lambda db, _: timers.fire(db, agent=self._agent, now=moment))

    async def next_due(self) -> datetime | None:
        """Look ahead."""

        def next_due(db: sqlite3.Connection, now: int) -> int | None:
            moments = (timers.next_due(db), inbox.next_due(db), outbox.next_due(db, now=now))
            return min((moment for moment in moments if moment is not None), default=None)

        moment = await self._run(next_due)
        return None if moment is None else from_micros(moment)

    async def workflow(self, id: str) -> WorkflowRow | None:  # noqa: A002 - the field's word
        """Load a workflow."""
        return await self._run(lambda db, _: workflows.load(db, id))

    async def workflows(self) -> tuple[WorkflowRow, ...]:
        """List workflows."""
        return await self._run(lambda db, _: workflows.every(db))

    async def approval(self, id: str) -> ApprovalRow | None:  # noqa: A002 - the field's word
        """Load an approval."""
        return await self._run(lambda db, _: approvals.load(db, id))

    async def approvals(self, *, conversation_id: str | None = None) -> tuple[ApprovalRow, ...]:
        """List approvals."""
        return await self._run(lambda db, _: approvals.of_conversation(db, conversation_id))

    async def begin_effect(self, key: str, *, request_hash: str, fence: int) -> tuple[EffectRow, bool]:
        """Record an intent."""
        return await self._run(
            lambda db, now: effects.begin(
                db, key=key, request_hash=request_hash, fence=fence, epoch=self._epoch, now=now
            )
        )

    async def settle_effect(self, key: str, *, state: EffectState, result: str | None) -> None:
        """Record an outcome."""
        await self._run(lambda db, now: effects.settle(db, key=key, state=state, result=result, now=now))

    async def forget_effect(self, key: str) -> None:
        """Remove an effect that did not happen."""
        await self._run(lambda db, _: effects.forget(db, key=key))

    async def audit(self, *, conversation_id: str | None = None) -> tuple[AuditRow, ...]:
        """List the trail; only the whole of it can be verified."""
        return await self._run(lambda db, _: audit.trail(db, conversation_id))

    async def counts(self) -> StoreCounts:
        """Count."""

        def count(db: sqlite3.Connection, _now: int) -> StoreCounts:
            ready, leased, given_up = inbox.counts(db)
            return StoreCounts(ready, leased, given_up, outbox.unsent_count(db), workflows.by_status(db))

        return await self._run(count)

    async def prune(self, older_than: datetime) -> int:
        """Forget old messages, a few hundred to a transaction, so that others get their turn in between."""
        moment = to_micros(older_than)

        def prune(db: sqlite3.Connection, _now: int) -> tuple[int, int]:
            return (
                inbox.prune(db, older_than=moment, limit=_PRUNED_AT_ONCE),
                outbox.prune(db, older_than=moment, limit=_PRUNED_AT_ONCE),
            )

        total = 0
        while sum(pruned := await self._run(prune)):
            total += sum(pruned)
        return total

    async def aclose(self) -> None:
        """Write what is queued, close the file and let the next owner in."""
        await self._writer.aclose()
        self._lock.release()

    async def _run(self, operation: Callable[[sqlite3.Connection, int], Result]) -> Result:
        """Run an operation on the connection, at the present moment in microseconds."""
        now = to_micros(self._clock.now())
        return await self._writer.run(lambda db: operation(db, now))


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)


def _prepare(path: Path, agent: str, now: int) -> tuple[sqlite3.Connection, int]:
    """Open and migrate the file, and begin a new epoch; returns the connection and the epoch."""
    try:
        # Readable for its owner only; SQLite gives the same rights to the files that it puts beside it.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnavailableError(f"the store {path} cannot be opened: {error}") from error
    try:
        connection.row_factory = sqlite3.Row
        for pragma in _PRAGMAS:
            connection.execute(pragma)
        migrate(connection, MIGRATIONS, now=now)
        epoch = owner.take_over(connection, agent=agent, now=now)
    except sqlite3.Error as error:
        connection.close()
        raise StoreUnavailableError(f"the store {path} cannot be opened: {error}") from error
    except BaseException:
        connection.close()
        raise
    return connection, epoch
