"""The bus alone, without a store: for tools, tests and observers. Agents that must not lose state use the runtime.

It knows envelopes and transports; it decides nothing.
"""

from __future__ import annotations

__all__ = ["Bus", "Handler"]

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from typing import Any

import anyio

from interlock.bus.acceptance import accept
from interlock.bus.clock import Clock
from interlock.bus.errors import DeadlineExceededError
from interlock.bus.transport import Delivery, Outgoing, Transport
from interlock.protocol.catalogue import CATALOGUE, Catalogue
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import (
    InterlockError,
    InvalidMessageError,
    PermanentError,
    TransientError,
    UnknownOutcomeError,
)
from interlock.protocol.message import Message, Request
from interlock.protocol.messages.task import TaskAccepted, TaskProgress

Handler = Callable[[Envelope[Message]], Awaitable[Message | None]]
"""Takes a message; what it returns is sent to where the sender waits for it."""

_PATIENCE = 30.0
_UNDER_WAY = (TaskAccepted, TaskProgress)


class Bus:
    """Typed messages over one transport, under its identity."""

    def __init__(self, transport: Transport, *, clock: Clock, catalogue: Catalogue = CATALOGUE) -> None:
        self._transport = transport
        self._clock = clock
        self._catalogue = catalogue

    def __repr__(self) -> str:
        return f"Bus(transport={self._transport!r})"

    @property
    def transport(self) -> Transport:
        """What it travels over."""
        return self._transport

    async def publish(
        self,
        message: Message,
        *,
        to: str,
        conversation_id: str | None = None,
        causation_id: str | None = None,
        timeout: float = 10.0,
    ) -> str:
        """Return the message's id once the broker has it safely; `timeout` is in seconds.

        Without a conversation it begins one of its own. Raises as `Transport.publish` does; after UnconfirmedError
        the message may arrive, and a second call would be a second message.
        """
        envelope = self._envelope(message, to=to, conversation_id=conversation_id, causation_id=causation_id)
        await self._send(envelope, timeout=timeout)
        return envelope.id

    async def request(
        self, message: Request, *, to: str, timeout: float | None = None, conversation_id: str | None = None
    ) -> Message:
        """Send a request and return what ends it, passing over acceptance and progress.

        `timeout`, in seconds, is by default the request's own deadline, or 30 s. Raises DeadlineExceededError, and
        what `publish` raises.
        """
        patience = timeout or message.declaration.deadline or _PATIENCE
        envelope = self._envelope(message, to=to, conversation_id=conversation_id)
        async with self._transport.replies() as (address, deliveries):
            await self._send(envelope, reply_to=address, timeout=min(patience, _PATIENCE))
            answer = await self._wait(deliveries, envelope, seconds=patience)
        if answer is None:
            raise DeadlineExceededError(to, envelope.type, envelope.id, patience)
        if isinstance(answer, InterlockError):
            raise answer
        return answer

    @asynccontextmanager
    async def observe(self, pattern: str) -> AsyncGenerator[AsyncIterator[Envelope[Message]]]:
        """Yield copies of messages whose `<to>.<type>` matches, from now on; at most once.

        What is not acceptable as a message is passed over: its receiver parks it, with the reason.
        """
        async with self._transport.observe(pattern) as copies, aclosing(self._acceptable(copies)) as envelopes:
            yield envelopes

    async def subscribe(self, handler: Handler, *, prefetch: int = 10) -> None:
        """Handle this agent's messages one after the other, in order, until cancelled or the transport is closed.

        Each is acknowledged after its handler has returned and the answer was confirmed: at least once, without
        memory of what was handled. TransientError, or an answer that was not confirmed, gives a message back for
        another attempt; PermanentError, or bytes that are no message, park it. Any other error ends the subscription
        and leaves the message to its next attempt.
        """
        async with self._transport.consume(prefetch=prefetch) as deliveries:
            async for delivery in deliveries:
                await self._handle(delivery, handler)

    async def _handle(self, delivery: Delivery, handler: Handler) -> None:
        try:
            envelope = accept(delivery, catalogue=self._catalogue)
            answer = await handler(envelope)
            if answer is not None:
                await self._answer(answer, envelope, reply_to=delivery.reply_to)
        except (TransientError, UnknownOutcomeError):
            await delivery.requeue()
        except PermanentError:
            await delivery.reject()
        else:
            await delivery.ack()

    async def _answer(self, answer: Message, request: Envelope[Message], *, reply_to: str | None) -> None:
        envelope = Envelope[Message].wrap(
            answer,
            sender=self._transport.identity,
            receiver=request.sender,
            sent_at=self._clock.now(),
            conversation_id=request.conversation_id,
            causation_id=request.id,
            traceparent=request.traceparent,
            hops=request.hops + 1,
        )
        await self._send(envelope, address=reply_to, timeout=_PATIENCE)

    async def _wait(
        self, deliveries: AsyncIterator[Delivery], request: Envelope[Any], *, seconds: float
    ) -> Message | InterlockError | None:
        """Return the answer or the error that ended the waiting; None when it took longer than that."""
        outcome: list[Message | InterlockError] = []
        async with anyio.create_task_group() as waiting:

            async def receive() -> None:
                try:
                    outcome.append(await self._ending(deliveries, request))
                except InterlockError as error:
                    outcome.append(error)
                waiting.cancel_scope.cancel()

            waiting.start_soon(receive)
            await self._clock.sleep(seconds)
            waiting.cancel_scope.cancel()
        return outcome[0] if outcome else None

    async def _ending(self, deliveries: AsyncIterator[Delivery], request: Envelope[Any]) -> Message:
        async with aclosing(self._acceptable(deliveries)) as envelopes:
            async for envelope in envelopes:
                if envelope.causation_id == request.id and not isinstance(envelope.payload, _UNDER_WAY):
                    return envelope.payload
        raise TransientError(f"the transport was closed while waiting for the answer to message {request.id}")

    async def _acceptable(self, deliveries: AsyncIterator[Delivery]) -> AsyncGenerator[Envelope[Message]]:
        async for delivery in deliveries:
            try:
                envelope = accept(delivery, catalogue=self._catalogue)
            except InvalidMessageError:
                continue
            yield envelope

    def _envelope(
        self, message: Message, *, to: str, conversation_id: str | None, causation_id: str | None = None
    ) -> Envelope[Message]:
        return Envelope[Message].wrap(
            message,
            sender=self._transport.identity,
            receiver=to,
            sent_at=self._clock.now(),
            conversation_id=conversation_id,
            causation_id=causation_id,
        )

    async def _send(
        self,
        envelope: Envelope[Message],
        *,
        timeout: float,
        address: str | None = None,
        reply_to: str | None = None,
    ) -> None:
        outgoing = Outgoing.of(envelope, reply_to=reply_to)
        if address is not None:
            outgoing = replace(outgoing, receiver=address)
        await self._transport.publish(outgoing, timeout=timeout)
