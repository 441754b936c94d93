"""The console's side of a demonstration: asks for the change, lets people answer, and sees it end."""

from __future__ import annotations

__all__ = ["Console"]

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio

from interlock.agents.demo.people import People
from interlock.bus.acceptance import accept
from interlock.bus.clock import Clock
from interlock.bus.telemetry import OFF, Telemetry
from interlock.bus.transport import Delivery, Outgoing, Transport
from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError, TransientError, UnknownOutcomeError
from interlock.protocol.ids import conversation_of, new_id
from interlock.protocol.message import Message
from interlock.protocol.messages.approval import ApprovalRequest
from interlock.protocol.messages.change import ChangeConcluded, ChangeRequested
from interlock.protocol.messages.task import InputRequired
from interlock.protocol.roles import CONSOLE, COORDINATOR

_log = logging.getLogger(__name__)

_RETRY = 0.5


class Console:
    """One conversation, from the request until it ends or waits for people who are not there."""

    def __init__(
        self,
        transport: Transport,
        *,
        issue: str,
        people: People,
        clock: Clock,
        seen: Callable[[Envelope[Any]], None],
        telemetry: Telemetry = OFF,
    ) -> None:
        """`seen` is told of every message of the conversation as it passes; some may be missed."""
        self._transport = transport
        self._issue = issue
        self._conversation = conversation_of(issue)
        self._people = people
        self._clock = clock
        self._seen = seen
        self._telemetry = telemetry
        self._handled: set[str] = set()
        self.sent: list[Envelope[Any]] = []
        """What the console itself said."""

    async def run(self) -> None:
        """Return when the change has ended, or waits for people."""
        with self._telemetry.conversation(self._conversation, name=f"change {self._issue}"):
            await self._converse()

    async def _converse(self) -> None:
        async with self._transport.observe("#") as copies, anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, copies)
            await self._say(ChangeRequested(jira_issue=self._issue, requested_by="demo"))
            async with self._transport.consume(prefetch=10) as deliveries:
                async for delivery in deliveries:
                    if await self._receive(delivery):
                        break
            # The copies of the last messages are on their way.
            await self._clock.sleep(0.2)
            tasks.cancel_scope.cancel()

    async def _receive(self, delivery: Delivery) -> bool:
        """Settle one delivery; return whether the demonstration is over."""
        with self._telemetry.receiving(delivery) as receiving:
            try:
                envelope = accept(delivery, catalogue=CATALOGUE)
            except InvalidMessageError as error:
                receiving.failed(error)
                _log.warning("the console refuses a message on %s: %s", delivery.routing_key[:255], error)
                await delivery.reject()
                return False
            receiving.concerns(envelope)
        with self._telemetry.processing(envelope, attempt=delivery.attempt):
            ended = await self._take(envelope)
            await delivery.ack()
        return ended

    async def _watch(self, copies: AsyncIterator[Delivery]) -> None:
        async for copy in copies:
            try:
                envelope = decode(copy.body)
            except InvalidMessageError:
                continue  # not of this catalogue: its receiver parks it
            if envelope.conversation_id == self._conversation:
                self._seen(envelope)

    async def _take(self, envelope: Envelope[Message]) -> bool:
        """Handle one message to the console once; return whether the demonstration is over."""
        if envelope.conversation_id != self._conversation or envelope.id in self._handled:
            return False
        self._handled.add(envelope.id)
        match envelope.payload:
            case ChangeConcluded():
                return True
            case InputRequired() as question:
                return await self._reply(await self._people.answer(question), envelope)
            case ApprovalRequest() as request:
                return await self._reply(await self._people.decide(request), envelope)
            case _:
                return False

    async def _reply(self, answer: Message | None, cause: Envelope[Any]) -> bool:
        if answer is None:
            return True
        await self._say(answer, cause=cause)
        return False

    async def _say(self, message: Message, *, cause: Envelope[Any] | None = None) -> None:
        """Publish until confirmed; the same id each time, so the coordinator takes it once."""
        message_id = new_id()
        envelope = Envelope.wrap(
            message,
            id=message_id,
            sender=CONSOLE,
            receiver=COORDINATOR,
            sent_at=self._clock.now(),
            traceparent=self._telemetry.traceparent(message_id, cause.traceparent if cause else None),
            conversation_id=self._conversation,
            causation_id=cause.id if cause else None,
        )
        self.sent.append(envelope)
        outgoing, attempt = Outgoing.of(envelope), 1
        while True:
            try:
                with self._telemetry.sending(outgoing, attempt=attempt):
                    await self._transport.publish(outgoing)
            except (TransientError, UnknownOutcomeError):
                await self._clock.sleep(_RETRY)
                attempt += 1
            else:
                return
