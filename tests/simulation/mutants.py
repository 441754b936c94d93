"""Deliberate bugs, one at a time, put into the product from outside for as long as a `with` block lasts.

Each is what somebody could write who had forgotten why a line is there. The product holds no switch for any of them.
"""

# A bug is put where it would be made, which is in private code.
# pyright: reportPrivateUsage=false
from __future__ import annotations

__all__ = ["MUTANTS", "Caught", "hunt"]

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast
from unittest.mock import patch

from interlock.agents import attempt as attempts
from interlock.agents import worker
from interlock.agents.attempt import Attempts
from interlock.agents.context import Context
from interlock.agents.intake import Intake
from interlock.agents.interruption import Interruption, Interruptions
from interlock.bus.errors import UnconfirmedError
from interlock.bus.store import consequences, inbox, outbox, timers
from interlock.bus.store.records import Claim, Commit, InboxMessage, OutboxMessage, Receipt
from interlock.bus.store.sql import SqlStore
from interlock.bus.transport import Delivery, Outgoing
from simulation.network import Line
from simulation.world import play


@dataclass(frozen=True, slots=True)
class Caught:
    """The first seed that shows a bug."""

    seed: int
    violation: str
    runs: int


def _nothing(*_: object) -> None:
    """Do nothing."""


def _none(*_: object) -> tuple[()]:
    """Find nothing."""
    return ()


@contextmanager
def _no_inbox_check() -> Generator[None]:
    genuine = inbox.receive

    def receive(db: Any, message: InboxMessage) -> Receipt:
        receipt = genuine(db, message)
        if receipt is not Receipt.DUPLICATE:
            return receipt
        db.execute(
            "UPDATE inbox SET state = 'ready', attempts = 0, ended_at = NULL WHERE message_id = ? AND state = 'done'",
            (message.message_id,),
        )
        return Receipt.NEW

    with patch.object(inbox, "receive", receive):
        yield


@contextmanager
def _ack_before_commit() -> Generator[None]:
    genuine = Intake.run

    async def run(self: Intake, deliveries: AsyncIterator[Delivery], **callbacks: Any) -> None:
        async def acknowledged() -> AsyncGenerator[Delivery]:
            async for delivery in deliveries:
                await delivery.ack()
                yield cast("Delivery", _Settled(delivery))

        await genuine(self, acknowledged(), **callbacks)

    with patch.object(Intake, "run", run):
        yield


class _Settled:
    """A delivery that was acknowledged before its time."""

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery

    def __getattr__(self, name: str) -> Any:
        return getattr(self._delivery, name)

    async def ack(self) -> None:
        """It has been."""

    async def reject(self) -> None:
        """Too late."""

    async def requeue(self) -> None:
        """Too late."""


@contextmanager
def _no_fencing() -> Generator[None]:
    def finish(db: Any, held: Claim, *, now: int) -> bool:
        db.execute(
            "UPDATE inbox SET state = 'done', lease_until = NULL, not_before = NULL, ended_at = ? WHERE seq = ?",
            (now, held.seq),
        )
        return True

    with patch.object(inbox, "finish", finish), patch.object(worker, "_abandon", _nothing):
        yield


@contextmanager
def _marked_before_publish() -> Generator[None]:
    genuine = outbox.unsent

    def unsent(db: Any, *, limit: int, now: int) -> tuple[OutboxMessage, ...]:
        waiting = genuine(db, limit=limit, now=now)
        outbox.mark_sent(db, [message.message_id for message in waiting], now=now)
        return waiting

    with patch.object(outbox, "unsent", unsent):
        yield


@contextmanager
def _no_ledger() -> Generator[None]:
    async def once(_self: Context, _key: str, effect: Callable[[], Awaitable[Any]], **_: Any) -> Any:
        return await effect()

    with patch.object(Context, "once", once):
        yield


@contextmanager
def _unknown_is_repeated() -> Generator[None]:
    genuine = Context.once

    async def once(self: Context, key: str, effect: Callable[[], Awaitable[Any]], **options: Any) -> Any:
        return await genuine(self, key, effect, **{**options, "repeatable": True})

    with patch.object(Context, "once", once):
        yield


@contextmanager
def _another_body_is_a_duplicate() -> Generator[None]:
    genuine = inbox.receive

    def receive(db: Any, message: InboxMessage) -> Receipt:
        receipt = genuine(db, message)
        return Receipt.DUPLICATE if receipt is Receipt.CONFLICT else receipt

    with patch.object(inbox, "receive", receive):
        yield


@contextmanager
def _order_broken() -> Generator[None]:
    genuine = outbox.unsent

    def unsent(db: Any, *, limit: int, now: int) -> tuple[OutboxMessage, ...]:
        return genuine(db, limit=limit, now=now)[::-1]

    with patch.object(outbox, "unsent", unsent):
        yield


@contextmanager
def _timer_lost() -> Generator[None]:
    def fire(db: Any, *, agent: str, now: int) -> int:
        fired: int = db.execute("DELETE FROM timer WHERE due_at <= ?", (now,)).rowcount
        return fired

    with patch.object(timers, "fire", fire):
        yield


@contextmanager
def _deadline_ignored() -> Generator[None]:
    before, interruption = Interruptions.before, Interruptions._interruption

    async def early(self: Interruptions, claim: Claim, envelope: Any) -> Interruption | None:
        return _unless_late(await before(self, claim, envelope))

    def late(self: Interruptions, *arguments: Any) -> Interruption | None:
        return _unless_late(interruption(self, *arguments))

    with patch.object(Interruptions, "before", early), patch.object(Interruptions, "_interruption", late):
        yield


def _unless_late(interruption: Interruption | None) -> Interruption | None:
    return None if interruption is not None and interruption.code == "deadline_exceeded" else interruption


@contextmanager
def _cancellation_ignored() -> Generator[None]:
    with patch.object(inbox, "cancellations", _none):
        yield


@contextmanager
def _two_commits() -> Generator[None]:
    async def finish(self: SqlStore, claim: Claim, commit: Commit) -> None:
        if await self._run(lambda db, now: inbox.finish(db, claim, now=now)):
            await self._run(lambda db, now: consequences.write(db, commit, now=now))

    with patch.object(SqlStore, "finish", finish):
        yield


@contextmanager
def _unconfirmed_is_sent() -> Generator[None]:
    genuine = Line.publish

    async def publish(self: Line, message: Outgoing, *, timeout: float = 10.0) -> None:
        try:
            await genuine(self, message, timeout=timeout)
        except UnconfirmedError:
            return

    with patch.object(Line, "publish", publish):
        yield


@contextmanager
def _changes_concealed() -> Generator[None]:
    with patch.object(attempts, "_told", _none), patch.object(attempts, "_open", _none):
        yield


@contextmanager
def _retry_forgotten() -> Generator[None]:
    def retry(db: Any, held: Claim, *, not_before: int, error: str, now: int) -> None:
        inbox.finish(db, held, now=now)

    with patch.object(inbox, "retry", retry):
        yield


@contextmanager
def _nobody_told_of_the_outbox() -> Generator[None]:
    async def write(self: Attempts, commit: Commit, writing: Awaitable[None]) -> None:
        await writing
        if commit.outgoing:
            self._written(commit.outgoing)

    with patch.object(Attempts, "_write", write):
        yield


MUTANTS: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {
        "no inbox check": _no_inbox_check,
        "ack before commit": _ack_before_commit,
        "no fencing": _no_fencing,
        "outbox marked before publish": _marked_before_publish,
        "retry without the ledger": _no_ledger,
        "unknown effect repeated blindly": _unknown_is_repeated,
        "known id accepted under another body": _another_body_is_a_duplicate,
        "order broken": _order_broken,
        "timer lost": _timer_lost,
        "deadline ignored": _deadline_ignored,
        "cancellation ignored": _cancellation_ignored,
        "done and its consequences in two commits": _two_commits,
        "unconfirmed taken for sent": _unconfirmed_is_sent,
        "changes concealed from the requester": _changes_concealed,
        "retry forgotten": _retry_forgotten,
        "outbox not looked at when a commit's answer is lost": _nobody_told_of_the_outbox,
    }
)


def hunt(name: str, seeds: Sequence[int]) -> Caught | None:
    """Return the first of these seeds that shows a bug and nothing without it, or None when it gets away."""
    for runs, seed in enumerate(seeds, start=1):
        with MUTANTS[name]():
            outcome = play(seed)
        if outcome.violations and not play(seed).violations:
            return Caught(seed, outcome.violations[0], runs)
    return None
