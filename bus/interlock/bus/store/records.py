"""The rows of a store as frozen values; they know neither SQL nor brokers. Times are aware and in UTC."""

from __future__ import annotations

__all__ = [
    "ApprovalRow",
    "ApprovalState",
    "AuditEntry",
    "AuditRow",
    "Claim",
    "Commit",
    "DeadRow",
    "EffectRow",
    "EffectState",
    "Failure",
    "InboxMessage",
    "InboxState",
    "OutboxMessage",
    "Receipt",
    "RejectionRow",
    "Repair",
    "RepairAction",
    "RepairRow",
    "StoreCounts",
    "Taken",
    "TimerRow",
    "WorkflowRow",
]

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Receipt(StrEnum):
    """What became of a message offered to the inbox."""

    NEW = "new"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    """The id is known with another body: someone reuses ids, or forges them. Nothing was stored."""


@dataclass(frozen=True, slots=True)
class InboxMessage:
    """A message as it is taken in."""

    message_id: str
    """The key of de-duplication."""
    sender: str
    type: str
    conversation_id: str
    body: bytes
    received_at: datetime
    reply_to: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one inbox message until the lease ends; the fence grows with every claim of the row."""

    seq: int
    message: InboxMessage
    attempt: int
    """1 for the first."""
    fence: int
    lease_until: datetime
    followed: bool = True
    """Whether more of its conversation waited behind it when it was claimed; True also where a store cannot tell."""
    begun: bool = False
    """Whether it was claimed before, also where that attempt does not count: given back at a stop, or revived."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of messages that were taken in, and what was leased together with that."""

    receipts: tuple[Receipt, ...]
    """One for each message that was offered, in that order."""
    claims: tuple[Claim, ...]


class InboxState(StrEnum):
    """Where an inbox message is in its life; `done`, `dropped` and `replaced` are its ends."""

    READY = "ready"
    LEASED = "leased"
    DONE = "done"
    DEAD = "dead"
    """Given up; it waits for a person."""
    DROPPED = "dropped"
    """It was dead, and a person decided that it is not handled."""
    REPLACED = "replaced"
    """It was dead, and a person put another message in its place."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How one attempt at a message failed."""

    at: datetime
    error: str


class RepairAction(StrEnum):
    """What a person did with a dead message."""

    RETRY = "retry"
    DROP = "drop"
    EDIT = "edit"


@dataclass(frozen=True, slots=True)
class Repair:
    """A person's order about one dead message."""

    by: str
    """Who, by account name; the actor in the audit trail."""
    reason: str = ""
    """Why; never a secret value."""
    key: str = ""
    """Under the same key a message is repaired once, however often it is ordered; empty: every time."""


@dataclass(frozen=True, slots=True)
class RepairRow:
    """A repair as it was carried out."""

    action: RepairAction
    at: datetime
    repair: Repair
    replacement_id: str | None = None
    """For an edit: the id of the message that took its place."""


@dataclass(frozen=True, slots=True)
class DeadRow:
    """A message that was given up, with its whole history; after a repair also what has become of it since."""

    seq: int
    message: InboxMessage
    attempts: int
    """Since it was received, or revived."""
    failures: tuple[Failure, ...]
    """One per failed attempt, oldest first, also those before a revival."""
    state: InboxState
    ended_at: datetime | None
    """When it was given up, or done; None while it is ready or leased."""
    repairs: tuple[RepairRow, ...] = ()
    """Oldest first."""
    replaces: str | None = None
    """The id of the dead message that it was made from."""

    @property
    def errors(self) -> tuple[str, ...]:
        """One line per failed attempt, oldest first."""
        return tuple(failure.error for failure in self.failures)


@dataclass(frozen=True, slots=True)
class RejectionRow:
    """Why a body could not be taken in, and how often it came."""

    body_hash: str
    """SHA-256 in hexadecimal."""
    code: str
    reason: str
    times: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """An encoded envelope that waits to be confirmed by the broker."""

    message_id: str
    receiver: str
    type: str
    conversation_id: str
    body: bytes
    created_at: datetime
    causation_id: str | None = None
    reply_to: str | None = None
    """For an answer: the address at which the receiver waits for it, instead of the receiver's own queue."""
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """The stored state of one workflow. `version` grows by one with every commit, from 1."""

    id: str
    kind: str
    version: int
    status: str
    """The name of the state, for look-ups."""
    ended: bool
    state: bytes
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class TimerRow:
    """A moment at which a workflow wants to be woken; one per conversation and name, a later one replaces it."""

    conversation_id: str
    name: str
    due_at: datetime


class ApprovalState(StrEnum):
    """The life of an approval; `used`, `denied` and `void` are terminal."""

    OPEN = "open"
    GRANTED = "granted"
    USED = "used"
    DENIED = "denied"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """A gate: what was asked, and what people answered."""

    id: str
    conversation_id: str
    subject: str
    digest: str
    environment: str
    author: str
    summary: str
    state: ApprovalState
    requested_at: datetime
    expires_at: datetime
    approver: str | None = None
    decided_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit trail, to be appended to the hash chain."""

    conversation_id: str
    actor: str
    action: str
    details: Mapping[str, str]
    """Never a secret value."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A line of the audit trail with its place in the chain: hash = SHA-256 over the previous hash and the line."""

    number: int
    at: datetime
    entry: AuditEntry
    previous_hash: str
    hash: str


class EffectState(StrEnum):
    """What is known of an effect on the outside world."""

    STARTED = "started"
    """Intended, and perhaps happened: found in this state after a crash it counts as unknown."""
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class EffectRow:
    """An effect on the outside world under its operation key."""

    key: str
    request_hash: str
    state: EffectState
    fence: int
    result: str | None
    """JSON of what the effect returned, or the failure's text."""
    started_at: datetime
    settled_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Commit:
    """Everything that one handled message changes, written in one transaction or not at all."""

    outgoing: tuple[OutboxMessage, ...] = ()
    workflow: WorkflowRow | None = None
    """Written when the stored version is this one's minus 1; otherwise StoreConflictError."""
    set_timers: tuple[TimerRow, ...] = ()
    cancel_timers: tuple[tuple[str, str], ...] = ()
    """Conversation id and name."""
    approvals: tuple[ApprovalRow, ...] = ()
    """Inserted when unknown; otherwise written only over a state that is not terminal."""
    audit: tuple[AuditEntry, ...] = ()


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """How much lies where; all are numbers of messages."""

    ready: int
    leased: int
    dead: int
    unsent: int
    conversations: Mapping[str, int] = field(default_factory=dict[str, int])
    """Open workflows by status."""
