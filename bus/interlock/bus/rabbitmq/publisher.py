"""The hot path out: mandatory, confirmed, pipelined publishes; it knows AMQP's verdicts, not what messages mean.

Every verdict becomes one of the bus's errors. A lost channel is followed by another attempt within the caller's
timeout: the stable id stands in the envelope, so the receiver's inbox removes a double.
"""

from __future__ import annotations

__all__ = ["Publisher"]

import asyncio
import itertools
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto

import aiormq
import anyio
from aio_pika.abc import AbstractChannel
from aiormq import spec
from pamqp.common import FieldTable

from interlock.bus.clock import Clock
from interlock.bus.errors import BrokerUnavailableError, NotPermittedError, UnconfirmedError, UnroutableError
from interlock.bus.rabbitmq.connection import Connection, underlay
from interlock.bus.rabbitmq.topology import JOURNAL, MESSAGES
from interlock.bus.rabbitmq.window import Window
from interlock.bus.transport import Outgoing
from interlock.protocol.errors import InterlockError, UsageError

_PERSISTENT = 2
_CLOSE_TIMEOUT = 5.0
_REFUSING = 1.0
"""Seconds for which a channel may be in use before a refused publish has another one opened."""


class _Verdict(Enum):
    """What became of one publish."""

    STORED = auto()
    UNROUTABLE = auto()
    REFUSED = auto()
    FORBIDDEN = auto()
    UNDECLARED = auto()
    SILENT = auto()
    LOST = auto()


@dataclass(slots=True, eq=False)
class _Line:
    """A channel, and how many publishes wait for their confirms on it."""

    channel: AbstractChannel
    raw: aiormq.Channel
    opened_at: float
    in_flight: int = 0


class Publisher:
    """Publishes as one identity over one channel, which is opened again whenever it is lost.

    A channel on which a publish was refused is replaced, too, at most once a second: one that was opened while a quorum
    queue had lost its leader goes on refusing for that queue, long after there is another leader (RabbitMQ 3.10,
    rabbit_fifo_client: a first publish whose leader's node is down leaves the channel with that leader).
    """

    def __init__(
        self, connection: Connection, *, identity: str, clock: Clock, journal: bool = True, window: int = 1000
    ) -> None:
        """`window` is how many publishes may wait for their confirms; with `journal`, each is also copied there."""
        self._connection = connection
        self._identity = identity
        self._clock = clock
        self._exchanges: tuple[str, ...] = (MESSAGES, JOURNAL) if journal else (MESSAGES,)
        self._window = Window(window, clock=clock)
        self._attempts = itertools.count(1)
        self._opening = anyio.Lock()
        self._line: _Line | None = None

    async def publish(self, message: Outgoing, *, timeout: float) -> None:
        """See `Transport.publish`."""
        if not await self._window.enter(patience=timeout):
            raise BrokerUnavailableError(
                f"message {message.message_id} was not sent: those before it had no confirm for {timeout:g} s"
            )
        answered = True
        try:
            await self._publish(message, self._clock.monotonic() + timeout, timeout)
        except (UnconfirmedError, BrokerUnavailableError):
            answered = False
            raise
        finally:
            self._window.leave(moves=answered)

    async def aclose(self) -> None:
        """Close the channel. Idempotent."""
        line, self._line = self._line, None
        if line is not None:
            await _close(line)

    async def _publish(self, message: Outgoing, deadline: float, timeout: float) -> None:
        outstanding: tuple[str, ...] = self._exchanges
        attempts = 0
        while outstanding:
            try:
                line = await self._usable_line(deadline - self._clock.monotonic())
            except (BrokerUnavailableError, UsageError) as error:
                if attempts:  # also when the transport was closed meanwhile: the broker may have it
                    raise UnconfirmedError(message.message_id, "the connection was lost before the confirm") from error
                raise
            attempts += 1
            confirmations = await self._attempt(line, message, outstanding, deadline)
            verdicts = {name: _verdict(confirmation, message) for name, confirmation in confirmations.items()}
            if _Verdict.REFUSED in verdicts.values():
                await self._leave(line)
            for name, verdict in verdicts.items():
                failure = _error(verdict, confirmations[name], message, exchange=name, timeout=timeout)
                if failure is not None:
                    raise failure
            outstanding = tuple(name for name in outstanding if verdicts[name] is _Verdict.LOST)

    async def _attempt(
        self, line: _Line, message: Outgoing, exchanges: tuple[str, ...], deadline: float
    ) -> dict[str, asyncio.Task[object]]:
        """Publish to every exchange at once and wait for the confirms, or for the first refusal.

        A journal whose leader was lost may never confirm: that must not hold up what is known of the message itself.

        The publishes run in tasks of their own, because aiormq cancels those that a lost connection leaves behind:
        here that is a result to look at, told apart from a cancellation that somebody asked for.
        """
        confirmations: dict[str, asyncio.Task[object]] = {
            exchange: asyncio.create_task(
                line.raw.basic_publish(
                    message.body,
                    exchange=exchange,
                    routing_key=message.routing_key,
                    properties=_properties(message, attempt=next(self._attempts)),
                    mandatory=message.mandatory and exchange == MESSAGES,
                    wait=False,
                )
            )
            for exchange in exchanges
        }
        line.in_flight += 1
        try:
            await asyncio.wait(
                confirmations.values(),
                timeout=max(0.0, deadline - self._clock.monotonic()),
                return_when=asyncio.FIRST_EXCEPTION,
            )
        finally:
            for confirmation in confirmations.values():
                confirmation.cancel()
            line.in_flight -= 1
            if line is not self._line and not line.in_flight:
                await _close(line)
        return confirmations

    async def _leave(self, line: _Line) -> None:
        """Have the next publish open another channel; this one is closed when the last on its way has its verdict."""
        if line is self._line and self._clock.monotonic() - line.opened_at >= _REFUSING:
            self._line = None
            if not line.in_flight:
                await _close(line)

    async def _usable_line(self, timeout: float) -> _Line:
        if self._line is not None and not self._line.raw.is_closed:
            return self._line
        with anyio.move_on_after(timeout) as waiting:
            await self._opening.acquire()
        if waiting.cancelled_caught:
            raise BrokerUnavailableError(f"{self._identity} has no connection to publish over; is the broker running?")
        try:
            if self._line is None or self._line.raw.is_closed:
                channel = await self._connection.channel(timeout=timeout, confirms=True)
                self._line = _Line(channel, await underlay(channel), opened_at=self._clock.monotonic())
            return self._line
        finally:
            self._opening.release()


async def _close(line: _Line) -> None:
    """Close a channel within a bound; one that is lost is closed already."""
    with (
        anyio.move_on_after(_CLOSE_TIMEOUT, shield=True),
        suppress(aiormq.exceptions.AMQPError, aiormq.exceptions.ChannelInvalidStateError, OSError),
    ):
        await line.channel.close()


def _properties(message: Outgoing, *, attempt: int) -> spec.Basic.Properties:
    return spec.Basic.Properties(
        content_type="application/json",
        delivery_mode=_PERSISTENT,
        # Fresh per attempt: aiormq matches returns by it, and two publishes under one id get each other's verdicts.
        message_id=f"{message.message_id}/{attempt}",
        correlation_id=message.causation_id,
        reply_to=message.reply_to,
        message_type=message.type,
        user_id=message.sender,
        timestamp=message.sent_at,
        headers=_headers(message),
    )


def _headers(message: Outgoing) -> FieldTable:
    headers: FieldTable = {"interlock-conversation-id": message.conversation_id}
    if message.traceparent:
        headers["traceparent"] = message.traceparent
    return headers


def _verdict(confirmation: asyncio.Task[object], message: Outgoing) -> _Verdict:
    if not confirmation.done():
        return _Verdict.SILENT
    if confirmation.cancelled():
        return _Verdict.LOST
    match confirmation.exception():
        case None:
            stored = isinstance(confirmation.result(), spec.Basic.Ack)
            return _Verdict.STORED if stored else _Verdict.SILENT
        case aiormq.exceptions.PublishError():
            return _Verdict.UNROUTABLE
        case aiormq.exceptions.DeliveryError():
            return _Verdict.REFUSED
        case aiormq.exceptions.ChannelAccessRefused() as refusal:
            return _Verdict.FORBIDDEN if _blames(refusal, message) else _Verdict.LOST
        case aiormq.exceptions.ChannelPreconditionFailed():
            return _Verdict.FORBIDDEN
        case aiormq.exceptions.ChannelNotFoundEntity():
            return _Verdict.UNDECLARED
        case aiormq.exceptions.AMQPError() | aiormq.exceptions.ChannelInvalidStateError() | OSError():
            return _Verdict.LOST
        case error if type(error) is Exception:  # what aiormq rejects with when it closes without a cause
            return _Verdict.LOST
        case error:
            raise error


def _blames(refusal: aiormq.exceptions.ChannelAccessRefused, message: Outgoing) -> bool:
    """Return whether the refusal is about this message, or about one that was in flight on the same channel."""
    return "access to topic" not in str(refusal) or f"topic '{message.routing_key}'" in str(refusal)


def _error(
    verdict: _Verdict, confirmation: asyncio.Task[object], message: Outgoing, *, exchange: str, timeout: float
) -> InterlockError | None:
    match verdict:
        case _Verdict.STORED | _Verdict.LOST:
            return None
        case _Verdict.UNROUTABLE:
            return UnroutableError(message.receiver, message.type, message.message_id, message.conversation_id)
        case _Verdict.REFUSED:
            cause = f"the broker refused it: the queue behind {exchange} is full, or changes its leader"
            return UnconfirmedError(message.message_id, cause)
        case _Verdict.SILENT:
            return UnconfirmedError(message.message_id, f"no confirm within {timeout:g} s")
        case _Verdict.UNDECLARED:
            return BrokerUnavailableError(
                f"message {message.message_id} was not sent: the broker has no exchange {exchange}; "
                "`interlock topology apply` declares it"
            )
        case _Verdict.FORBIDDEN:
            error = NotPermittedError(
                f"the broker does not let {message.sender} send '{message.type}' to {message.receiver} "
                f"(message {message.message_id}); is that pair in the catalogue's routes and the broker's definitions?"
            )
            error.__cause__ = confirmation.exception()
            return error
