"""What an agent needs from its durable memory; the port, whatever the database."""

from __future__ import annotations

__all__ = ["Store"]

from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import Protocol

from interlock.bus.store.news import News
from interlock.bus.store.records import (
    ApprovalRow,
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


class Store(Protocol):
    """The inbox, outbox, workflows, timers, approvals, effects and audit trail of one agent.

    Every method is one transaction, durable when it returns.
    """

    @property
    def is_shared(self) -> bool:
        """Whether other processes may write to it and publish from it."""
        ...

    async def receive(self, message: InboxMessage) -> Receipt:
        """Put a message into the inbox, once per message id, however often it is offered."""
        ...

    async def take_in(self, messages: Sequence[InboxMessage], *, limit: int, lease: float) -> Taken:
        """Receive messages, in this order, and claim up to `limit` together with that; see `receive` and `claim`.

        What has just come in is leased at once if its conversation is free and nothing older waits for the same place.
        """
        ...

    async def reject(self, body_hash: str, code: str, reason: str) -> None:
        """Remember why a message that cannot be taken in was parked; by the SHA-256 of its body, not the body."""
        ...

    async def claim(self, *, limit: int, lease: float) -> tuple[Claim, ...]:
        """Lease the oldest messages that are due, at most one per conversation and none of a leased conversation.

        `lease` is in seconds. A row whose lease has run out is claimed again, as a further attempt. Within a
        conversation messages are claimed in the order in which they were received; one that waits for a retry holds
        the later ones back.
        """
        ...

    async def renew(self, claims: Sequence[Claim], *, lease: float) -> tuple[Claim, ...]:
        """Prolong leases; returns those that are still held, with their new end."""
        ...

    async def cancellations(self, claims: Sequence[Claim]) -> tuple[InboxMessage, ...]:
        """Return the messages of type `task_cancelled` that wait behind these claims, each in its conversation.

        Reads only. Whichever replica has taken such a message in, it is seen here as long as the claim lasts.
        """
        ...

    async def finish(self, claim: Claim, commit: Commit) -> None:
        """Mark the message done and write everything that follows from it, together.

        Raises LeaseLostError when the fence is stale, StoreConflictError when a workflow or approval has moved on.
        """
        ...

    async def retry(self, claim: Claim, *, not_before: datetime, error: str) -> None:
        """Give the message back, to be claimed again at `not_before`; the error joins its history."""
        ...

    async def release(self, claim: Claim) -> None:
        """Give the message back unharmed: the attempt does not count."""
        ...

    async def bury(self, claim: Claim, *, error: str, commit: Commit | None = None) -> None:
        """Give the message up: it stays among the dead with its history; `commit` is written with it."""
        ...

    async def commit(self, commit: Commit) -> None:
        """Write something that no message caused, such as a command line's request or a heartbeat."""
        ...

    async def dead(self, *, limit: int = 100, after: int = 0, settled: bool = False) -> tuple[DeadRow, ...]:
        """Return the dead that wait for a repair, oldest first, from the first number beyond `after`.

        With `settled` also those that were dropped or replaced.
        """
        ...

    async def letter(self, seq: int) -> DeadRow | None:
        """Return one message of the inbox with its history, dead or not; None when no such number is known."""
        ...

    async def revive(self, seq: int, repair: Repair) -> None:
        """Make a dead message ready again with all its attempts; the repair joins its history and the audit trail.

        Raises UsageError when it is not among the dead, unless it was revived under the same key before.
        """
        ...

    async def drop(self, seq: int, repair: Repair) -> None:
        """Leave a dead message unhandled for good: it is kept, with the repair, and its id stays known.

        Raises UsageError as `revive` does.
        """
        ...

    async def replace(self, seq: int, replacement: InboxMessage, repair: Repair) -> None:
        """Take a message in instead of a dead one, which is kept as `replaced`; both know of each other.

        The replacement comes last in its conversation. Raises UsageError as `revive` does, and when the replacement's
        id is known already.
        """
        ...

    async def rejections(self) -> tuple[RejectionRow, ...]:
        """Return why messages were parked, the latest first; by the hash of their bodies."""
        ...

    async def unsent(self, *, limit: int) -> tuple[OutboxMessage, ...]:
        """Return what waits for the broker's confirm and is due, oldest first."""
        ...

    async def mark_sent(self, message_ids: Sequence[str]) -> None:
        """Record that the broker has confirmed these."""
        ...

    async def postpone(self, message_id: str, *, not_before: datetime, error: str) -> None:
        """Record that a message could not be published yet.

        Until it is due, it holds back the later messages of its conversation to the same receiver, and no others.
        """
        ...

    async def abandon(self, message_id: str, *, error: str) -> None:
        """Record that the broker will never take a message: it stays, with the error, and the audit trail says so."""
        ...

    async def fire_timers(self, now: datetime) -> int:
        """Turn every due timer into an inbox message of type `timer` to its conversation; returns how many.

        The message's sender is the agent itself, its body the timer's name in UTF-8, and its id derived from
        conversation, name and due time, so that no timer fires twice.
        """
        ...

    async def next_due(self) -> datetime | None:
        """Return the earliest moment at which a timer, a retry or a postponed message becomes due, or a lease runs out.

        A moment that has passed means: look now. Postponed messages count only while they wait, so that one which is
        being published does not keep everyone awake.
        """
        ...

    async def next_unsent_due(self) -> datetime | None:
        """Return the earliest moment, still to come, at which there may be more for `unsent` to return.

        Whoever publishes asks this first, then `unsent`: what becomes due in between is in the second answer.
        """
        ...

    async def workflow(self, id: str) -> WorkflowRow | None:  # noqa: A002 - the field's word
        """Return one workflow's stored state."""
        ...

    async def workflows(self) -> tuple[WorkflowRow, ...]:
        """Return all workflows, the latest updated first."""
        ...

    async def approval(self, id: str) -> ApprovalRow | None:  # noqa: A002 - the field's word
        """Return one approval."""
        ...

    async def approvals(self, *, conversation_id: str | None = None) -> tuple[ApprovalRow, ...]:
        """Return approvals, oldest first."""
        ...

    async def begin_effect(self, key: str, *, request_hash: str, fence: int) -> tuple[EffectRow, bool]:
        """Record the intent of an effect, unless its key is known; returns the row and whether it is new.

        Raises UsageError when the key is known for another request.
        """
        ...

    async def effects_begun(self, *, prefix: str, since: datetime) -> tuple[EffectRow, ...]:
        """Return the effects whose keys begin so and that were begun from then on, oldest first; reads the ledger."""
        ...

    async def settle_effect(self, key: str, *, state: EffectState, result: str | None, fence: int) -> None:
        """Record what became of an effect. Raises LeaseLostError when a later attempt has begun it anew."""
        ...

    async def forget_effect(self, key: str, *, fence: int) -> None:
        """Allow an effect anew that is proven not to have happened.

        Raises UsageError for one that is `done`, LeaseLostError when a later attempt has begun it anew.
        """
        ...

    async def audit(self, *, conversation_id: str | None = None) -> tuple[AuditRow, ...]:
        """Return the audit trail in order."""
        ...

    async def counts(self) -> StoreCounts:
        """Return how much lies where."""
        ...

    async def prune(self, older_than: datetime) -> int:
        """Delete handled and sent messages that ended before this moment, and return how many; not one transaction.

        What is de-duplicated stays known. The dead with their repairs, workflows, approvals, effects and the audit
        trail are kept.
        """
        ...

    def changes(self) -> AsyncGenerator[News]:
        """Tell of what other processes may have written to the store; ends at once when no other can.

        A hint that may come late, for nothing or not at all: whoever waits looks by themselves from time to time.
        """
        ...

    async def aclose(self) -> None:
        """Write what is queued and release the database. Idempotent."""
        ...
