"""What is around every payload: the specification's four fields, and beside them what delivery needs."""

from __future__ import annotations

__all__ = ["MAX_HOPS", "Envelope"]

from datetime import datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny, StringConstraints
from pydantic.alias_generators import to_camel

from interlock.protocol.ids import new_id
from interlock.protocol.message import Message
from interlock.protocol.shapes import TRACEPARENT
from interlock.protocol.values import AgentName, Identifier, MessageId, Timestamp

MAX_HOPS = 32
"""How many messages may have caused one another before a conversation is taken for a loop and refused."""

PayloadT = TypeVar("PayloadT", bound=Message)

Traceparent = Annotated[str, StringConstraints(pattern=TRACEPARENT)]
"""W3C Trace Context, level 1."""


class Envelope(BaseModel, Generic[PayloadT]):
    """One message as it travels. Its id stays the same however often it is sent."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        defer_build=True,
    )

    sender: Annotated[AgentName, Field(alias="from")]
    receiver: Annotated[AgentName, Field(alias="to")]
    type: Identifier
    payload: SerializeAsAny[PayloadT]
    id: MessageId
    version: Annotated[int, Field(ge=1, le=10_000)] = 1
    """Of the message type."""
    sent_at: Timestamp
    conversation_id: MessageId
    """One per workflow: everything about PROJ-140 shares it."""
    causation_id: MessageId | None = None
    """The message that caused this one; a reply's is its request's id."""
    deadline: Timestamp | None = None
    """By when a request must have ended."""
    traceparent: Traceparent | None = None
    hops: Annotated[int, Field(ge=0, le=MAX_HOPS)] = 0

    @classmethod
    def wrap(
        cls,
        payload: PayloadT,
        *,
        sender: str,
        receiver: str,
        sent_at: datetime,
        id: str | None = None,  # noqa: A002 - the wire's word
        conversation_id: str | None = None,
        causation_id: str | None = None,
        deadline: datetime | None = None,
        traceparent: str | None = None,
        hops: int = 0,
    ) -> Envelope[PayloadT]:
        """Put a payload into an envelope; without a conversation it begins one of its own."""
        message_id = id or new_id()
        return Envelope(  # subscribed by its own variable it is the same class, at twice the price
            sender=sender,
            receiver=receiver,
            type=payload.declaration.type,
            payload=payload,
            id=message_id,
            version=payload.declaration.version,
            sent_at=sent_at,
            conversation_id=conversation_id or message_id,
            causation_id=causation_id,
            deadline=deadline,
            traceparent=traceparent,
            hops=hops,
        )
