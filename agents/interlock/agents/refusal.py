"""Refuses deliveries: remembers why, tells a proven sender, and lets the broker park them. It stores no payload."""

from __future__ import annotations

__all__ = ["Refusal"]

import hashlib
import logging
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from interlock.agents.outbound import enclose
from interlock.agents.patience import Patience
from interlock.bus.clock import Clock
from interlock.bus.errors import StoreConflictError
from interlock.bus.store.port import Store
from interlock.bus.store.records import AuditEntry, Commit
from interlock.bus.transport import Delivery
from interlock.protocol.envelope import MAX_HOPS, Envelope
from interlock.protocol.errors import InvalidMessageError
from interlock.protocol.message import ALL, Message
from interlock.protocol.messages.task import MessageRejected
from interlock.protocol.strict_json import parse_object
from interlock.protocol.values import AgentName, MessageId

_log = logging.getLogger(__name__)


class _Origin(BaseModel):
    """As much of an envelope as an answer needs; its type, version and payload may be anything."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", alias_generator=to_camel)

    id: MessageId
    sender: Annotated[AgentName, Field(alias="from")]
    receiver: Annotated[AgentName, Field(alias="to")]
    type: str
    conversation_id: MessageId
    traceparent: None = None
    hops: Annotated[int, Field(ge=0, le=MAX_HOPS)] = 0

    @classmethod
    def of(cls, delivery: Delivery) -> _Origin | None:
        """Return whom to answer; None when nobody is proven to have sent this, or no answer is wanted."""
        try:
            origin = cls.model_validate(parse_object(delivery.body))
        except (InvalidMessageError, ValidationError):
            return None
        wanted = origin.receiver != ALL and origin.type != MessageRejected.declaration.type
        return origin if wanted and origin.sender == delivery.sender else None


class Refusal:
    """The other end of the intake, for one agent."""

    def __init__(self, agent: str, *, store: Store, clock: Clock, patience: Patience) -> None:
        self._agent = agent
        self._store = store
        self._clock = clock
        self._patience = patience

    def __repr__(self) -> str:
        return f"Refusal({self._agent!r})"

    async def refuse(self, delivery: Delivery, error: InvalidMessageError) -> None:
        """Park what is no message for this agent; its sender, if proven, is told once."""
        _log.warning("%s refuses a message on %s: %s", self._agent, delivery.routing_key[:255], error)
        await self._remember(delivery, error.code, str(error))
        origin = _Origin.of(delivery)
        if origin is not None:
            await self._tell(origin, error, reply_to=_own(delivery.reply_to, origin.sender))
        await delivery.reject()

    async def raise_alarm(self, delivery: Delivery, envelope: Envelope[Message]) -> None:
        """Park a message whose id is known with another body: ids are reused, or forged. The audit trail says so."""
        _log.error("%s: message %s came again with another body", self._agent, envelope.id)
        await self._remember(delivery, "id_reused", f"message {envelope.id} came again with another body")
        entry = AuditEntry(
            conversation_id=envelope.conversation_id,
            actor=envelope.sender,
            action="message_id_reused",
            details={"messageId": envelope.id, "type": envelope.type},
        )
        await self._patience.insist(self._store.commit, Commit(audit=(entry,)))
        await delivery.reject()

    async def _remember(self, delivery: Delivery, code: str, reason: str) -> None:
        digest = hashlib.sha256(delivery.body).hexdigest()
        await self._patience.insist(self._store.reject, digest, code, reason)

    async def _tell(self, origin: _Origin, error: InvalidMessageError, *, reply_to: str | None) -> None:
        message = enclose(
            MessageRejected(code=error.code, path=error.path[:300], reason=error.reason[:500]),
            agent=self._agent,
            receiver=origin.sender,
            cause=origin,
            ordinal="rejected",
            now=self._clock.now(),
            reply_to=reply_to,
        )
        try:
            await self._patience.insist(self._store.commit, Commit(outgoing=(message,)))
        except StoreConflictError:
            return  # the sender was told when the same message came before


def _own(address: str | None, sender: str) -> str | None:
    """Return where the sender waits for its answer, unless that is somebody else's address."""
    return address if address is not None and address.startswith(f"reply.{sender}.") else None
