"""From what a handler returned to what goes into the outbox; it knows addresses, not brokers."""

from __future__ import annotations

__all__ = ["Cause", "commit_of", "enclose"]

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from interlock.agents.agent import Addressed, Returned
from interlock.bus.store.records import Commit, OutboxMessage
from interlock.bus.telemetry import current
from interlock.protocol.codec import encode
from interlock.protocol.envelope import MAX_HOPS, Envelope
from interlock.protocol.errors import PermanentError, UsageError
from interlock.protocol.ids import derived_id
from interlock.protocol.message import Message, Reply
from interlock.protocol.messages.task import MessageRejected, TaskDeclined, TaskFailed

_LAST_WORDS = (TaskDeclined, TaskFailed, MessageRejected)
"""Nobody answers these, so they may always be said."""


class Cause(Protocol):
    """What is known of the message that is being answered: an envelope, or what could be read of one."""

    @property
    def id(self) -> str: ...

    @property
    def conversation_id(self) -> str: ...

    @property
    def traceparent(self) -> str | None: ...

    @property
    def hops(self) -> int: ...


def commit_of(
    returned: Returned,
    *,
    agent: str,
    cause: Envelope[Message],
    now: datetime,
    reply_to: str | None = None,
) -> Commit:
    """Return what a handler's result changes. Ids are derived from the cause, so a repeated attempt repeats them.

    What is not addressed goes to the cause's sender, at `reply_to` if it waits there. Raises what `enclose` raises.
    """
    if returned is None:
        return Commit()
    if isinstance(returned, Commit):
        return returned
    answers = returned if isinstance(returned, Sequence) else (returned,)
    outgoing = tuple(
        enclose(
            answer.message if isinstance(answer, Addressed) else answer,
            agent=agent,
            receiver=answer.receiver if isinstance(answer, Addressed) else cause.sender,
            cause=cause,
            ordinal=str(ordinal),
            now=now,
            reply_to=None if isinstance(answer, Addressed) else reply_to,
        )
        for ordinal, answer in enumerate(answers)
    )
    return Commit(outgoing=outgoing)


def enclose(
    message: Message,
    *,
    agent: str,
    receiver: str,
    cause: Cause,
    ordinal: str,
    now: datetime,
    reply_to: str | None = None,
) -> OutboxMessage:
    """Put a message into an envelope that continues the cause's conversation, encoded for the outbox.

    Its id follows from agent, cause and ordinal alone. Raises UsageError when the catalogue does not let this agent
    send it there: better here than in a parking queue; PermanentError when answers have been answered for too long.
    """
    declaration = message.declaration
    if not declaration.route.allows(agent, receiver):
        raise UsageError(f"{agent} may not send {declaration.type} to {receiver}; its route is {declaration.route}")
    message_id = derived_id(agent, cause.id, ordinal)
    envelope = Envelope.wrap(
        message,
        sender=agent,
        receiver=receiver,
        sent_at=now,
        id=message_id,
        conversation_id=cause.conversation_id,
        causation_id=cause.id,
        deadline=now + timedelta(seconds=declaration.deadline) if declaration.deadline else None,
        traceparent=current().traceparent(message_id, cause.traceparent),
        hops=_hops(message, cause),
    )
    return OutboxMessage(
        message_id=envelope.id,
        receiver=receiver,
        type=envelope.type,
        conversation_id=envelope.conversation_id,
        body=encode(envelope),
        created_at=now,
        causation_id=envelope.causation_id,
        reply_to=reply_to,
        traceparent=envelope.traceparent,
    )


def _hops(message: Message, cause: Cause) -> int:
    """Count answers to answers: an order given by a workflow starts anew, so long conversations are no loops."""
    if not isinstance(message, Reply):
        return 0
    if cause.hops < MAX_HOPS:
        return cause.hops + 1
    if isinstance(message, _LAST_WORDS):
        return MAX_HOPS
    raise PermanentError(
        f"{message.declaration.type} would be answer number {cause.hops + 1} in a row (conversation "
        f"{cause.conversation_id}): look for agents that answer each other's answers"
    )
