"""What people ask an agent about its dead letters, and order for them; any agent answers, whatever it handles.

A dead letter is a message that was given up after it was received, or one that was parked because it could not be.
"""

from __future__ import annotations

__all__ = [
    "DeadLetter",
    "DeadLetterState",
    "DeadLettersReport",
    "DeadLettersRequest",
    "FailedAttempt",
    "LetterOutcome",
    "RepairAction",
    "RepairOutcome",
    "RepairRecord",
    "RepairRequest",
    "RepairResult",
]

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from interlock.protocol.message import ANY, Effect, Reply, Request, Route, minutes
from interlock.protocol.roles import CONSOLE
from interlock.protocol.shapes import LETTER
from interlock.protocol.values import LongText, MessageId, ShortText, Timestamp, Value

LetterName = Annotated[str, StringConstraints(pattern=LETTER)]
"""A dead letter within its agent: its number in the inbox, or `parked:` and the beginning of its body's SHA-256."""


class DeadLetterState(StrEnum):
    """What has become of a dead letter."""

    DEAD = "dead"
    """Received, and given up after all its attempts."""
    PARKED = "parked"
    """Never received: it lies in the agent's parking queue."""
    DROPPED = "dropped"
    REPLACED = "replaced"
    """Edited: another message has taken its place."""
    RETRIED = "retried"
    """It has its attempts again, and is not handled yet."""
    HANDLED = "handled"
    """It was retried, and that went well."""


class RepairAction(StrEnum):
    """What is to be done with a dead letter."""

    RETRY = "retry"
    DROP = "drop"
    EDIT = "edit"


class FailedAttempt(Value):
    """How one attempt failed."""

    at: Timestamp
    error: ShortText


class RepairRecord(Value):
    """A repair that was carried out."""

    action: RepairAction
    at: Timestamp
    by: ShortText
    reason: Annotated[str, Field(max_length=500)] = ""
    replacement_id: MessageId | None = None
    """For an edit: the id of the message that took its place."""


class DeadLetter(Value):
    """One message that was given up or parked. What it says of its origin is unproven while it is parked."""

    name: LetterName
    state: DeadLetterState
    reason: ShortText
    """The last error, or why it was refused; alike for those that fail alike."""
    message_id: ShortText | None = None
    sender: ShortText | None = None
    """Whom the broker authenticated."""
    type: ShortText | None = None
    conversation_id: ShortText | None = None
    received_at: Timestamp | None = None
    ended_at: Timestamp | None = None
    """When it was given up or parked."""
    attempts: Annotated[int, Field(ge=0)] = 0
    failures: tuple[FailedAttempt, ...] = ()
    """Oldest first; in a list of many only the last one."""
    repairs: tuple[RepairRecord, ...] = ()
    replaces: MessageId | None = None
    """The id of the dead letter that it was made from."""
    body: LongText | None = None
    """The message, where it was asked for: as JSON if it is that, else with everything unprintable escaped."""


class DeadLettersReport(Reply, type="dead_letters_report", route=Route.of(ANY, CONSOLE)):
    """An agent's dead letters, the dead before the parked, oldest first."""

    letters: tuple[DeadLetter, ...]
    more: bool = False
    """There are more than were asked for."""


class DeadLettersRequest(
    Request,
    type="dead_letters_request",
    route=Route.of(CONSOLE, ANY),
    replies=(DeadLettersReport,),
    deadline=minutes(1),
):
    """A person wants to see an agent's dead letters."""

    name: LetterName | None = None
    """Only this one, with its whole history; also one that was repaired."""
    with_body: bool = False
    """Show what it says, too; only for one by name."""
    parked_only: bool = False
    """In a list: leave out the dead."""
    limit: Annotated[int, Field(ge=1, le=200)] = 100


class RepairOutcome(StrEnum):
    """What became of one letter of a repair."""

    DONE = "done"
    REFUSED = "refused"


class LetterOutcome(Value):
    """What became of one dead letter."""

    name: LetterName
    outcome: RepairOutcome
    detail: ShortText
    replacement_id: MessageId | None = None


class RepairResult(Reply, type="repair_result", route=Route.of(ANY, CONSOLE)):
    """What became of each letter of a repair, in the order in which they were named."""

    outcomes: tuple[LetterOutcome, ...]


class RepairRequest(
    Request,
    type="repair_request",
    route=Route.of(CONSOLE, ANY),
    replies=(RepairResult,),
    deadline=minutes(1),
    effect=Effect.DESTRUCTIVE,
):
    """A person orders a repair. Retrying carries out what the message asks for; dropping gives that up for good."""

    action: RepairAction
    letters: Annotated[tuple[LetterName, ...], Field(min_length=1, max_length=100)]
    by: ShortText
    """The person, by account name; kept in the agent's audit trail."""
    reason: Annotated[str, Field(max_length=500)] = ""
    payload: LongText | None = None
    """For an edit, of one letter: the new payload as JSON."""
    version: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """For an edit: the new payload's version, where it is another than before."""
