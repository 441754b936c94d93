"""The bus alone, without a store: for tools, tests and observers. Agents that must not lose state use the runtime.

It knows envelopes and transports; it decides nothing.
"""

from __future__ import annotations

__all__ = ["Bus", "Handler"]

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, overload

import anyio

from interlock.bus.acceptance import accept
from interlock.bus.clock import Clock
from interlock.bus.errors import UnexpectedAnswerError
from interlock.bus.pending import LIFE_CYCLE, OnProgress
from interlock.bus.requests import Requests, RequestStatistics
from interlock.bus.transport import Delivery, Outgoing, Transport
from interlock.protocol.catalogue import CATALOGUE, Catalogue
from interlock.protocol.encoder import Encoder
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import (
    InvalidMessageError,
    PermanentError,
    TransientError,
    UnknownOutcomeError,
    UsageError,
)
from interlock.protocol.ids import new_id
from interlock.protocol.message import Message, Request

if TYPE_CHECKING:  # imported by whoever tells
    from interlock.bus.telemetry import Telemetry

Handler: TypeAlias = "Callable[[Envelope[Message]], Awaitable[Message | None]]"
"""Takes a message; what it returns is sent to where the sender waits for it."""

_PATIENCE = 30.0

A = TypeVar("A", bound=Message)
B = TypeVar("B", bound=Message)
C = TypeVar("C", bound=Message)
M = TypeVar("M", bound=Message)


class Bus:
    """Typed messages over one transport, under its identity."""

    def __init__(
        self,
        transport: Transport,
        *,
        clock: Clock,
        catalogue: Catalogue = CATALOGUE,
        in_flight: int = 20_000,
        telemetry: Telemetry | None = None,
    ) -> None:
        """At most `in_flight` requests wait for answers at a time. Close the bus before its transport.

        With `telemetry`, what is sent, received and handled is told as an agent's work is, but that nothing remembers
        across a restart which conversations have begun.
        """
        self._transport = transport
        self._clock = clock
        self._catalogue = catalogue
        self._encoder = Encoder(transport.identity)
        self._telemetry = telemetry
        self._requests = Requests(transport, clock=clock, catalogue=catalogue, telemetry=telemetry)
        self._room = anyio.Semaphore(in_flight)

    def __repr__(self) -> str:
        return f"Bus(transport={self._transport!r}, pending={self.statistics().pending})"

    @property
    def transport(self) -> Transport:
        """What it travels over."""
        return self._transport

    def statistics(self) -> RequestStatistics:
        """Return how many requests wait, and what became of the others."""
        return self._requests.statistics()

    async def aclose(self) -> None:
        """End the requests in flight, with TransientError; the transport stays open. Idempotent."""
        await self._requests.aclose()

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
        now, message_id = self._clock.now(), new_id()
        conversation = conversation_id or message_id
        seconds = message.declaration.deadline
        traceparent = None if self._telemetry is None else self._telemetry.uncaused(message_id, conversation)
        body = self._encoder.encode(
            message,
            receiver=to,
            message_id=message_id,
            conversation_id=conversation,
            sent_at=now,
            causation_id=causation_id,
            deadline=now + timedelta(seconds=seconds) if seconds else None,
            traceparent=traceparent,
        )
        outgoing = Outgoing(
            body=body,
            message_id=message_id,
            sender=self._transport.identity,
            receiver=to,
            type=message.declaration.type,
            conversation_id=conversation,
            sent_at=now,
            causation_id=causation_id,
            traceparent=traceparent,
        )
        await self._publish(outgoing, timeout=timeout)
        return message_id

    @overload
    async def request(
        self,
        message: Request,
        *,
        to: str,
        answers: None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        on_progress: OnProgress | None = None,
        cancel_on_timeout: bool = False,
        conversation_id: str | None = None,
    ) -> Message: ...

    @overload
    async def request(
        self,
        message: Request,
        *,
        to: str,
        answers: type[A] | tuple[type[A]],
        timeout: float | None = None,
        deadline: float | None = None,
        on_progress: OnProgress | None = None,
        cancel_on_timeout: bool = False,
        conversation_id: str | None = None,
    ) -> A: ...

    @overload
    async def request(
        self,
        message: Request,
        *,
        to: str,
        answers: tuple[type[A], type[B]],
        timeout: float | None = None,
        deadline: float | None = None,
        on_progress: OnProgress | None = None,
        cancel_on_timeout: bool = False,
        conversation_id: str | None = None,
    ) -> A | B: ...

    @overload
    async def request(
        self,
        message: Request,
        *,
        to: str,
        answers: tuple[type[A], type[B], type[C]],
        timeout: float | None = None,
        deadline: float | None = None,
        on_progress: OnProgress | None = None,
        cancel_on_timeout: bool = False,
        conversation_id: str | None = None,
    ) -> A | B | C: ...

    async def request(
        self,
        message: Request,
        *,
        to: str,
        answers: type[Message] | tuple[type[Message], ...] | None = None,
        timeout: float | None = None,
        deadline: float | None = None,
        on_progress: OnProgress | None = None,
        cancel_on_timeout: bool = False,
        conversation_id: str | None = None,
    ) -> Message:
        """Send a request and return its answer: one of `answers`, as in `isinstance`, or whatever it is without them.

        `deadline` is how many seconds the receiver has altogether, by default what the message declares; it travels
        with the request. `timeout` is how many seconds of silence are borne once the broker has the request, by default
        the deadline, or 30 s; handing it over may take as long, or 30 s. The receiver's acceptance and progress begin
        the silence anew and are given to `on_progress`.

        Any number of requests may wait at the same time; beyond `in_flight` of them, more are sent only as others end.
        An answer counts when it comes from whom was asked, in the request's conversation, and is declared
        as one or belongs to the task life cycle. What else comes, or comes late, is dropped and counted.

        When the call is cancelled, the receiver is sent `task_cancelled`; after a timeout only with
        `cancel_on_timeout`, since whoever is silent may still be at work. Raises DeadlineExceededError,
        UnexpectedAnswerError for an answer that is none of `answers`, TransientError when the bus is closed meanwhile,
        UsageError for `answers` that this request does not have, and what `publish` raises.
        """
        wanted = (answers,) if isinstance(answers, type) else answers
        if wanted is not None:
            _check(message, wanted)
        async with self._room:
            envelope = self._envelope(message, to=to, conversation_id=conversation_id, deadline=deadline)
            answer = await self._requests.ask(
                envelope,
                silence=timeout or deadline or message.declaration.deadline or _PATIENCE,
                on_progress=on_progress,
                cancel_on_timeout=cancel_on_timeout,
            )
        if wanted is not None and not isinstance(answer, wanted):
            raise UnexpectedAnswerError(answer, receiver=to, request=envelope)
        return answer

    @overload
    def observe(self, *what: str) -> AbstractAsyncContextManager[AsyncIterator[Envelope[Message]]]: ...

    @overload
    def observe(self, *what: type[M]) -> AbstractAsyncContextManager[AsyncIterator[Envelope[M]]]: ...

    @asynccontextmanager
    async def observe(self, *what: str | type[Message]) -> AsyncGenerator[AsyncIterator[Envelope[Any]]]:
        """Yield one copy of each message that is of one of these classes, or whose `<to>.<type>` matches a pattern.

        From now on, in order, at most once: whoever is away misses what is said meanwhile. Any number of observers
        see the same. Answers to a process that waits for them are matched by `#.<type>`, and by class. What is not
        acceptable as a message is passed over: its receiver parks it, with the reason.
        """
        classes = tuple(each for each in what if isinstance(each, type))
        patterns = (each if isinstance(each, str) else f"#.{each.declaration.type}" for each in what)
        async with self._transport.observe(*patterns) as copies, aclosing(self._acceptable(copies)) as envelopes:
            if not classes:
                yield envelopes
                return
            async with aclosing(_of_class(envelopes, classes)) as chosen:
                yield chosen

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
            if self._telemetry is None:
                await self._attempt(accept(delivery, catalogue=self._catalogue), delivery, handler)
            else:
                await self._attempt_and_tell(self._telemetry, delivery, handler)
        except (TransientError, UnknownOutcomeError):
            await delivery.requeue()
        except PermanentError:
            await delivery.reject()
        else:
            await delivery.ack()

    async def _attempt_and_tell(self, telemetry: Telemetry, delivery: Delivery, handler: Handler) -> None:
        with telemetry.receiving(delivery) as receiving:
            envelope = accept(delivery, catalogue=self._catalogue)
            receiving.concerns(
                envelope, begins=envelope.traceparent is None and envelope.id == envelope.conversation_id
            )
        with telemetry.processing(envelope, attempt=delivery.attempt):
            await self._attempt(envelope, delivery, handler)

    async def _attempt(self, envelope: Envelope[Message], delivery: Delivery, handler: Handler) -> None:
        answer = await handler(envelope)
        if answer is not None:
            await self._answer(answer, envelope, reply_to=delivery.reply_to)

    async def _answer(self, answer: Message, request: Envelope[Message], *, reply_to: str | None) -> None:
        message_id, traceparent = new_id(), request.traceparent
        if self._telemetry is not None:
            traceparent = self._telemetry.traceparent(message_id, traceparent)
        envelope = Envelope.wrap(
            answer,
            id=message_id,
            sender=self._transport.identity,
            receiver=request.sender,
            sent_at=self._clock.now(),
            conversation_id=request.conversation_id,
            causation_id=request.id,
            traceparent=traceparent,
            hops=request.hops + 1,
        )
        await self._send(envelope, address=reply_to, timeout=_PATIENCE)

    async def _acceptable(self, deliveries: AsyncIterator[Delivery]) -> AsyncGenerator[Envelope[Message]]:
        async for delivery in deliveries:
            try:
                envelope = accept(delivery, catalogue=self._catalogue)
            except InvalidMessageError:
                continue
            yield envelope

    def _envelope(
        self,
        message: Message,
        *,
        to: str,
        conversation_id: str | None,
        deadline: float | None = None,
    ) -> Envelope[Message]:
        now, message_id = self._clock.now(), new_id()
        conversation = conversation_id or message_id
        seconds = deadline or message.declaration.deadline
        return Envelope.wrap(
            message,
            sender=self._transport.identity,
            receiver=to,
            sent_at=now,
            id=message_id,
            conversation_id=conversation,
            deadline=now + timedelta(seconds=seconds) if seconds else None,
            traceparent=None if self._telemetry is None else self._telemetry.uncaused(message_id, conversation),
        )

    async def _send(self, envelope: Envelope[Message], *, timeout: float, address: str | None = None) -> None:
        outgoing = Outgoing.of(envelope)
        if address is not None:
            outgoing = outgoing._replace(receiver=address)
        await self._publish(outgoing, timeout=timeout)

    async def _publish(self, outgoing: Outgoing, *, timeout: float) -> None:
        if self._telemetry is None:
            await self._transport.publish(outgoing, timeout=timeout)
        else:
            with self._telemetry.sending(outgoing, attempt=1):
                await self._transport.publish(outgoing, timeout=timeout)


async def _of_class(
    envelopes: AsyncIterator[Envelope[Message]], classes: tuple[type[Message], ...]
) -> AsyncGenerator[Envelope[Message]]:
    """Pass over messages of another version of the same type."""
    async for envelope in envelopes:
        if isinstance(envelope.payload, classes):
            yield envelope


def _check(request: Request, answers: tuple[type[Message], ...]) -> None:
    """Raise UsageError for an answer that would be dropped if it came."""
    for answer in answers:
        if answer not in request.declaration.replies and answer not in LIFE_CYCLE:
            raise UsageError(
                f"{answer.__name__} is no answer to {request.declaration.type}: ask for some of its declared replies, "
                f"{', '.join(reply.__name__ for reply in request.declaration.replies) or 'none'}, or of the task life "
                "cycle"
            )
