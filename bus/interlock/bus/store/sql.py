"""The store as statements over a database that one writer owns; they live in the modules of their nouns."""

from __future__ import annotations

__all__ = ["SqlStore"]

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import datetime
from typing import TypeVar

from interlock.bus.clock import Clock
from interlock.bus.store import approvals, audit, consequences, dead, effects, inbox, outbox, owner, timers, workflows
from interlock.bus.store.database import Connection
from interlock.bus.store.moments import from_micros, to_micros
from interlock.bus.store.news import News
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
    Taken,
    WorkflowRow,
)
from interlock.bus.store.text import storable
from interlock.bus.store.writer import Manner, Part, Writer, WriterStatistics

Result = TypeVar("Result")

_PRUNED_AT_ONCE = 500


class SqlStore:
    """Implements `Store` for every database; where a method says nothing more here, the port's promise is all.

    Cancelling a call gives up waiting for it, not the transaction: that happens as a whole or not at all. Any call may
    raise StoreUnavailableError when the database cannot be read or written, or the store is closed.
    """

    def __init__(self, writer: Writer, *, agent: str, replica: str | None, epoch: int, clock: Clock) -> None:
        """`replica` tells apart the processes that share the store; None says that there is one."""
        self._writer = writer
        self._agent = agent
        self._replica = replica
        self._epoch = epoch
        self._clock = clock

    @property
    def is_shared(self) -> bool:
        """Whether it has replicas."""
        return self._replica is not None

    def statistics(self) -> WriterStatistics:
        """Return how many operations shared how many commits since the store was opened."""
        return self._writer.statistics()

    async def receive(self, message: InboxMessage) -> Receipt:
        """Take a message in."""
        return await self._run(lambda db, _: inbox.receive(db, message), news=News.ALL)

    async def take_in(self, messages: Sequence[InboxMessage], *, limit: int, lease: float) -> Taken:
        """Take messages in, and lease what is due. When cancelled, what was leased is as with `claim`."""
        return await self._run(
            lambda db, now: inbox.take_in(db, messages, limit=limit, until=now + _micros(lease), now=now), news=News.ALL
        )

    async def reject(self, body_hash: str, code: str, reason: str) -> None:
        """Remember a refused message; the same body and code again only counts."""
        await self._run(
            lambda db, now: inbox.reject(db, body_hash=body_hash, code=code, reason=storable(reason), now=now)
        )

    async def claim(self, *, limit: int, lease: float) -> tuple[Claim, ...]:
        """Lease what is due. When cancelled, what was leased meanwhile is free again once the lease runs out."""
        return await self._run(lambda db, now: inbox.claim(db, limit=limit, until=now + _micros(lease), now=now))

    async def renew(self, claims: Sequence[Claim], *, lease: float) -> tuple[Claim, ...]:
        """Prolong leases."""
        return await self._run(lambda db, now: inbox.renew(db, claims, until=now + _micros(lease)))

    async def cancellations(self, claims: Sequence[Claim]) -> tuple[InboxMessage, ...]:
        """Look for cancellations of what is leased."""
        return await self._run(lambda db, _: inbox.cancellations(db, claims), manner="reading")

    async def finish(self, claim: Claim, commit: Commit) -> None:
        """End the message well, with what follows from it."""

        def finish(db: Connection, now: int) -> None:
            if inbox.finish(db, claim, now=now):
                consequences.write(db, commit, now=now)

        await self._run(finish, news=News.ALL)

    async def retry(self, claim: Claim, *, not_before: datetime, error: str) -> None:
        """Give the message back for later."""
        due = to_micros(not_before)
        await self._run(
            lambda db, now: inbox.retry(db, claim, not_before=due, error=storable(error), now=now), news=News.ALL
        )

    async def release(self, claim: Claim) -> None:
        """Give the message back."""
        await self._run(lambda db, _: inbox.release(db, claim), news=News.ALL)

    async def bury(self, claim: Claim, *, error: str, commit: Commit | None = None) -> None:
        """Give the message up."""

        def bury(db: Connection, now: int) -> None:
            if inbox.bury(db, claim, error=storable(error), now=now) and commit is not None:
                consequences.write(db, commit, now=now)

        await self._run(bury, news=News.ALL)

    async def commit(self, commit: Commit) -> None:
        """Write without a message."""
        await self._run(lambda db, now: consequences.write(db, commit, now=now), news=News.ALL)

    async def dead(self, *, limit: int = 100, after: int = 0, settled: bool = False) -> tuple[DeadRow, ...]:
        """List the dead."""
        return await self._run(lambda db, _: dead.listed(db, limit=limit, after=after, settled=settled))

    async def letter(self, seq: int) -> DeadRow | None:
        """Load one message with its history."""
        return await self._run(lambda db, _: dead.letter(db, seq=seq))

    async def revive(self, seq: int, repair: Repair) -> None:
        """Give a dead message all its attempts again; its history stays."""
        await self._run(lambda db, now: dead.revive(db, seq=seq, repair=repair, now=now), news=News.ALL)

    async def drop(self, seq: int, repair: Repair) -> None:
        """Leave a dead message unhandled."""
        await self._run(lambda db, now: dead.drop(db, seq=seq, repair=repair, now=now))

    async def replace(self, seq: int, replacement: InboxMessage, repair: Repair) -> None:
        """Put a message in the place of a dead one."""
        await self._run(
            lambda db, now: dead.replace(db, seq=seq, replacement=replacement, repair=repair, now=now), news=News.ALL
        )

    async def rejections(self) -> tuple[RejectionRow, ...]:
        """List what was refused."""
        return await self._run(lambda db, _: dead.rejections(db))

    async def unsent(self, *, limit: int) -> tuple[OutboxMessage, ...]:
        """List what may be published."""

        return await self._run(lambda db, now: outbox.unsent(db, limit=limit, now=now), manner="reading")

    async def mark_sent(self, message_ids: Sequence[str]) -> None:
        """Record confirms; ids that do not wait are ignored."""
        await self._run(lambda db, now: outbox.mark_sent(db, message_ids, now=now))

    async def postpone(self, message_id: str, *, not_before: datetime, error: str) -> None:
        """Let an outgoing message wait."""
        due = to_micros(not_before)
        await self._run(
            lambda db, _: outbox.postpone(db, message_id=message_id, not_before=due, error=storable(error)),
            news=News.ALL,
        )

    async def abandon(self, message_id: str, *, error: str) -> None:
        """Give an outgoing message up."""

        def abandon(db: Connection, now: int) -> None:
            text = storable(error)
            message = outbox.abandon(db, message_id=message_id, error=text, now=now)
            if message is not None:
                details = {"messageId": message_id, "to": message.receiver, "type": message.type, "error": text}
                entry = AuditEntry(message.conversation_id, self._agent, "outgoing_abandoned", details)
                audit.append(db, [entry], now=now)

        await self._run(abandon)

    async def fire_timers(self, now: datetime) -> int:
        """Turn due timers into messages."""
        moment = to_micros(now)
        fired = await self._run(lambda db, _: timers.fire(db, agent=self._agent, now=moment))
        if fired:
            await self._run(lambda _db, _now: None, news=News.ALL)
        return fired

    async def next_due(self) -> datetime | None:
        """Look ahead."""

        def next_due(db: Connection, now: int) -> int | None:
            moments = (
                timers.next_due(db),
                inbox.next_due(db),
                outbox.next_due(db, now=now),
                None if self._replica is None else owner.led_until(db, replica=self._replica),
            )
            return min((moment for moment in moments if moment is not None), default=None)

        moment = await self._run(next_due, manner="reading")
        return None if moment is None else from_micros(moment)

    async def next_unsent_due(self) -> datetime | None:
        """Look ahead for who publishes."""

        def next_due(db: Connection, now: int) -> int | None:
            led = None if self._replica is None else owner.led_until(db, replica=self._replica)
            moments = (outbox.next_due(db, now=now), led)
            return min((moment for moment in moments if moment is not None and moment > now), default=None)

        moment = await self._run(next_due, manner="reading")
        return None if moment is None else from_micros(moment)

    async def workflow(self, id: str) -> WorkflowRow | None:  # noqa: A002 - the field's word
        """Load a workflow."""
        return await self._run(lambda db, _: workflows.load(db, id), manner="reading")

    async def workflows(self) -> tuple[WorkflowRow, ...]:
        """List workflows."""
        return await self._run(lambda db, _: workflows.every(db), manner="reading")

    async def approval(self, id: str) -> ApprovalRow | None:  # noqa: A002 - the field's word
        """Load an approval."""
        return await self._run(lambda db, _: approvals.load(db, id), manner="reading")

    async def approvals(self, *, conversation_id: str | None = None) -> tuple[ApprovalRow, ...]:
        """List approvals."""
        return await self._run(lambda db, _: approvals.of_conversation(db, conversation_id), manner="reading")

    async def begin_effect(self, key: str, *, request_hash: str, fence: int) -> tuple[EffectRow, bool]:
        """Record an intent."""
        return await self._run(
            lambda db, now: effects.begin(
                db, key=key, request_hash=request_hash, fence=fence, epoch=self._epoch, now=now
            )
        )

    async def effects_begun(self, *, prefix: str, since: datetime) -> tuple[EffectRow, ...]:
        """List what was begun."""
        return await self._run(lambda db, _: effects.begun(db, prefix=prefix, since=to_micros(since)))

    async def settle_effect(self, key: str, *, state: EffectState, result: str | None, fence: int) -> None:
        """Record an outcome."""
        text, epoch = None if result is None else storable(result), self._epoch
        await self._run(
            lambda db, now: effects.settle(db, key=key, state=state, result=text, fence=fence, epoch=epoch, now=now)
        )

    async def forget_effect(self, key: str, *, fence: int) -> None:
        """Remove an effect that did not happen."""
        await self._run(lambda db, _: effects.forget(db, key=key, fence=fence, epoch=self._epoch))

    async def audit(self, *, conversation_id: str | None = None) -> tuple[AuditRow, ...]:
        """List the trail; only the whole of it can be verified."""
        return await self._run(lambda db, _: audit.trail(db, conversation_id), manner="reading")

    async def counts(self) -> StoreCounts:
        """Count."""

        def count(db: Connection, _now: int) -> StoreCounts:
            ready, leased, given_up = inbox.counts(db)
            return StoreCounts(ready, leased, given_up, outbox.unsent_count(db), workflows.by_status(db))

        return await self._run(count, manner="reading")

    async def prune(self, older_than: datetime) -> int:
        """Forget old messages, a few hundred to a transaction, so that others get their turn in between."""
        moment = to_micros(older_than)

        def prune(db: Connection, _now: int) -> tuple[int, int]:
            return (
                inbox.prune(db, older_than=moment, limit=_PRUNED_AT_ONCE),
                outbox.prune(db, older_than=moment, limit=_PRUNED_AT_ONCE),
            )

        total = 0
        while sum(pruned := await self._run(prune)):
            total += sum(pruned)
        return total

    async def changes(self) -> AsyncGenerator[News]:
        """Tell of what other processes write; here there are none."""
        others: tuple[News, ...] = ()
        for news in others:
            yield news

    async def aclose(self) -> None:
        """Write what is queued and release the database."""
        await self._writer.aclose()

    async def _run(
        self,
        operation: Callable[[Connection, int], Result],
        *,
        news: News | Callable[[Result], News] = News.NOTHING,
        part: Callable[[int], Part] | None = None,
        manner: Manner = "alone",
    ) -> Result:
        """Run an operation on the connection, at the present moment in microseconds."""
        now = to_micros(self._clock.now())
        return await self._writer.run(
            lambda db: operation(db, now), news=news, part=None if part is None else part(now), manner=manner
        )


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
