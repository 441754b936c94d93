"""The life cycle that every request may go through, whatever it asks for."""

from __future__ import annotations

__all__ = [
    "DeadlineExceeded",
    "InputProvided",
    "InputRequired",
    "MessageRejected",
    "MissingInput",
    "TaskAccepted",
    "TaskCancelled",
    "TaskCompleted",
    "TaskDeclined",
    "TaskFailed",
    "TaskProgress",
]

from typing import Annotated, Literal

from pydantic import Field

from interlock.protocol.message import ANY, Event, Reply, Request, Route
from interlock.protocol.values import Identifier, LongText, MessageId, ShortText, Timestamp, Value

_ANYONE = Route.of(ANY, ANY)


class TaskAccepted(Reply, type="task_accepted", route=_ANYONE):
    """The request will be worked on."""

    note: ShortText | None = None


class TaskDeclined(Reply, type="task_declined", route=_ANYONE):
    """The request will not be worked on; nothing was changed. Terminal."""

    code: Identifier
    """Stable and machine-readable, e.g. `unsupported` or `pool_too_large`."""
    reason: ShortText
    retryable: bool = False


class TaskProgress(Reply, type="task_progress", route=_ANYONE):
    """A long request has come this far."""

    step: Identifier
    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    detail: LongText | None = None


class MissingInput(Value):
    """One fact that is needed and may not be guessed."""

    field: Identifier
    """The name to answer under, e.g. `backupRetentionDays`."""
    question: ShortText
    cause: Literal["missing", "contradiction", "invalid"]
    found: tuple[ShortText, ...] = ()
    """What was found instead: the contradicting or unreadable values, as written."""


class InputRequired(Reply, type="input_required", route=_ANYONE):
    """The request waits for facts that only the requester can give."""

    missing: Annotated[tuple[MissingInput, ...], Field(min_length=1)]


class InputProvided(Request, type="input_provided", route=_ANYONE):
    """Answers to `input_required`, by field name."""

    answers: dict[Identifier, ShortText]


class TaskCancelled(Event, type="task_cancelled", route=_ANYONE):
    """The requester no longer wants it. Terminal."""

    reason: ShortText


class TaskCompleted(Reply, type="task_completed", route=_ANYONE):
    """The request was carried out. Terminal."""

    summary: ShortText
    side_effects: tuple[ShortText, ...] = ()
    """What was changed in outside systems, one line each."""


class TaskFailed(Reply, type="task_failed", route=_ANYONE):
    """The request was tried and did not succeed. Terminal."""

    code: Identifier
    reason: ShortText
    retryable: bool = False
    outcome: Literal["failed", "unknown"] = "failed"
    """`unknown`: it may have happened; look before anything is repeated."""
    side_effects: tuple[ShortText, ...] = ()
    """What had been changed in outside systems before it failed."""


class DeadlineExceeded(Event, type="deadline_exceeded", route=_ANYONE):
    """A request did not end in time. Terminal for the request."""

    request_id: MessageId
    request_type: Identifier
    deadline: Timestamp


class MessageRejected(Reply, type="message_rejected", route=_ANYONE):
    """A message could not be taken in: unknown type, not allowed, not valid."""

    code: Identifier
    path: Annotated[str, Field(max_length=300)] = ""
    reason: ShortText
