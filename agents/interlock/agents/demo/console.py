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
from interlock.bus.transport import Delivery, Outgoing, Transport
from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError, TransientError, UnknownOutcomeError
from interlock.protocol.ids import conversation_of
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
    ) -> None:
        """`seen` is told of every message of the conversation as it passes; some may be missed."""
        self._transport = transport
        self._issue = issue
        self._conversation = conversation_of(issue)
        self._people = people
        self._clock = clock
        self._seen = seen
        self._handled: set[str] = set()
        self.sent: list[Envelope[Any]] = []
        """What the console itself said."""

    async def run(self) -> None:
        """Return when the change has ended, or waits for people."""
        async with self._transport.observe("#") as copies, anyio.create_task_group() as tasks:
            tasks.start_soon(self._watch, copies)
            await self._say(ChangeRequested(jira_issue=self._issue, requested_by="demo"))
            async with self._transport.consume(prefetch=10) as deliveries:
                async for delivery in deliveries:
                    try:
                        envelope = accept(delivery, catalogue=CATALOGUE)
                    except InvalidMessageError as error:
                        _log.warning("the console refuses a message on %s: %s", delivery.routing_key[:255], error)
                        await delivery.reject()
                        continue
                    ended = await self._take(envelope)
                    await delivery.ack()
                    if ended:
                        break
            # The copies of the last messages are on their way.
            await self._clock.sleep(0.2)
            tasks.cancel_scope.cancel()

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
        envelope = Envelope.wrap(
            message,
            sender=CONSOLE,
            receiver=COORDINATOR,
            sent_at=self._clock.now(),
            conversation_id=self._conversation,
            causation_id=cause.id if cause else None,
        )
        self.sent.append(envelope)
        outgoing = Outgoing.of(envelope)
        while True:
            try:
                await self._transport.publish(outgoing)
            except (TransientError, UnknownOutcomeError):
                await self._clock.sleep(_RETRY)
            else:
                return
