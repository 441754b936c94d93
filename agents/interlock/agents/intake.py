"""Takes deliveries into the inbox, or refuses them; the bus's border control. It never runs a handler."""

from __future__ import annotations

__all__ = ["Intake"]

import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

import anyio

from interlock.agents.agent import Agent
from interlock.agents.outbound import enclose
from interlock.bus.clock import Clock
from interlock.bus.store.port import Store
from interlock.bus.store.records import AuditEntry, Commit, InboxMessage, Receipt
from interlock.bus.transport import Delivery
from interlock.protocol.codec import CONTENT_TYPE, decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError, RejectionCode
from interlock.protocol.message import ALL, Message
from interlock.protocol.messages.task import MessageRejected

_log = logging.getLogger(__name__)


class Intake:
    """Reads deliveries in order and stores them; many may be on their way into one commit."""

    Deliveries: TypeAlias = AsyncIterator[Delivery]

    def __init__(self, agent: Agent, *, store: Store, clock: Clock, window: int = 64) -> None:
        self._agent = agent
        self._store = store
        self._clock = clock
        self._window = anyio.Semaphore(window)

    async def run(self, deliveries: Deliveries, stored: Callable[[], None]) -> None:
        """Take in until the deliveries end; `stored` is called after each new message is safely in the inbox."""
        async with anyio.create_task_group() as tasks:
            async for delivery in deliveries:
                await self._window.acquire()
                tasks.start_soon(self._take, delivery, stored)

    async def _take(self, delivery: Delivery, stored: Callable[[], None]) -> None:
        try:
            try:
                envelope = self._admitted(delivery)
            except InvalidMessageError as error:
                await self._refuse(delivery, error)
                return
            receipt = await self._store.receive(
                InboxMessage(
                    message_id=envelope.id,
                    sender=envelope.sender,
                    type=envelope.type,
                    conversation_id=envelope.conversation_id,
                    body=delivery.body,
                    received_at=self._clock.now(),
                    reply_to=delivery.reply_to,
                )
            )
            if receipt is Receipt.CONFLICT:
                await self._raise_alarm(delivery, envelope)
                return
            await delivery.ack()
            if receipt is Receipt.NEW:
                stored()
        finally:
            self._window.release()

    def _admitted(self, delivery: Delivery) -> Envelope[Message]:
        if delivery.content_type not in {None, CONTENT_TYPE}:
            raise InvalidMessageError(RejectionCode.WRONG_CONTENT_TYPE, f"only {CONTENT_TYPE} is accepted")
        envelope = decode(delivery.body, catalogue=self._agent.catalogue)
        if delivery.sender != envelope.sender:
            raise InvalidMessageError(RejectionCode.WRONG_SENDER, "not the sender that the broker knows", path="from")
        if envelope.receiver not in {self._agent.name, ALL}:
            raise InvalidMessageError(RejectionCode.WRONG_RECEIVER, f"this is {self._agent.name}", path="to")
        if not envelope.payload.declaration.route.allows(envelope.sender, envelope.receiver):
            raise InvalidMessageError(
                RejectionCode.NOT_ALLOWED, f"{envelope.sender} may not send {envelope.type} here", path="type"
            )
        return envelope

    async def _refuse(self, delivery: Delivery, error: InvalidMessageError) -> None:
        _log.warning("%s refuses a message on %s: %s", self._agent.name, delivery.routing_key[:255], error)
        await self._store.reject(hashlib.sha256(delivery.body).hexdigest(), error.code, str(error))
        if error.code is RejectionCode.NOT_ALLOWED:
            await self._tell(decode(delivery.body, catalogue=self._agent.catalogue), error)
        await delivery.reject()

    async def _tell(self, cause: Envelope[Message], error: InvalidMessageError) -> None:
        if isinstance(cause.payload, MessageRejected) or cause.receiver == ALL:
            return
        answer = MessageRejected(code=error.code, path=error.path, reason=error.reason)
        message = enclose(
            answer,
            agent=self._agent.name,
            receiver=cause.sender,
            cause=cause,
            ordinal="rejected",
            now=self._clock.now(),
            message_id=None,
        )
        await self._store.commit(Commit(outgoing=(message,)))

    async def _raise_alarm(self, delivery: Delivery, envelope: Envelope[Message]) -> None:
        _log.error("%s: message %s came again with another body", self._agent.name, envelope.id)
        await self._store.reject(hashlib.sha256(delivery.body).hexdigest(), "id_reused", f"message {envelope.id}")
        entry = AuditEntry(
            conversation_id=envelope.conversation_id,
            actor=envelope.sender,
            action="message_id_reused",
            details={"messageId": envelope.id, "type": envelope.type},
        )
        await self._store.commit(Commit(audit=(entry,)))
        await delivery.reject()
