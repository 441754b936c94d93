"""The hot path out: mandatory, confirmed, pipelined publishes; it knows verdicts, not what messages mean.

Every verdict becomes one of the bus's errors. A lost channel is followed by another attempt within the caller's
timeout: the stable id stands in the envelope, so the receiver's inbox removes a double.
"""

from __future__ import annotations

__all__ = ["Publisher"]

import itertools
from dataclasses import dataclass

import aiormq
import anyio

from interlock.bus.clock import Clock
from interlock.bus.errors import BrokerUnavailableError, NotPermittedError, UnconfirmedError, UnroutableError
from interlock.bus.rabbitmq.channel import Channel
from interlock.bus.rabbitmq.connection import Connection
from interlock.bus.rabbitmq.topology import JOURNAL, MESSAGES
from interlock.bus.rabbitmq.verdict import STORED, Outcome, Verdict
from interlock.bus.rabbitmq.window import Window
from interlock.bus.transport import Outgoing
from interlock.protocol.errors import InterlockError, UsageError

_REFUSING = 1.0
"""Seconds for which a channel may be in use before a refused publish has another one opened."""


@dataclass(slots=True, eq=False)
class _Line:
    """A channel, and how many publishes wait for their confirms on it."""

    channel: Channel
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
        if not self._window.enter_at_once() and not await self._window.enter(patience=timeout):
            raise BrokerUnavailableError(
                f"message {message.message_id} was not sent: those before it had no confirm for {timeout:g} s"
            )
        answered = True
        deadline = self._clock.monotonic() + timeout
        outstanding, within, attempts = self._exchanges, timeout, 0
        try:
            while outstanding:
                line = self._line
                if attempts or line is None or line.channel.is_closed or line.channel.is_full:
                    line = await self._usable_line(message, deadline, attempts=attempts)
                    within = deadline - self._clock.monotonic()
                attempts += 1
                outstanding = await self._attempt(line, message, outstanding, within, timeout)
        except (UnconfirmedError, BrokerUnavailableError):
            answered = False
            raise
        finally:
            self._window.leave(moves=answered)

    async def aclose(self) -> None:
        """Close the channel. Idempotent."""
        line, self._line = self._line, None
        if line is not None:
            await line.channel.aclose()

    async def _attempt(
        self, line: _Line, message: Outgoing, exchanges: tuple[str, ...], within: float, timeout: float
    ) -> tuple[str, ...]:
        """Publish to every exchange at once; returns those of which nothing is known, since the channel was lost.

        A journal whose leader was lost may never confirm: that must not hold up what is known of the message itself.
        """
        channel = line.channel
        outcomes = channel.publish(message, exchanges, attempt=next(self._attempts), within=within)
        lost: tuple[str, ...] = ()
        line.in_flight += 1
        try:
            for exchange, pending in zip(exchanges, outcomes, strict=True):
                outcome = await pending
                if outcome is STORED:
                    continue
                if _is_lost(outcome, message, exchange):
                    lost = (*lost, exchange)
                    continue
                if outcome.verdict is Verdict.REFUSED:
                    self._leave(line)
                raise _error(outcome, message, exchange=exchange, timeout=timeout, blocked=channel.blocked)
        finally:
            for pending in outcomes:
                pending.cancel()
            line.in_flight -= 1
            if line is not self._line and not line.in_flight:
                await channel.aclose()
        return lost

    def _leave(self, line: _Line) -> None:
        """Have the next publish open another channel; this one is closed when the last on its way has its verdict."""
        if line is self._line and self._clock.monotonic() - line.opened_at >= _REFUSING:
            self._line = None

    async def _usable_line(self, message: Outgoing, deadline: float, *, attempts: int) -> _Line:
        """Return a line that is open and has room. After `attempts`, that there is none means an unknown outcome."""
        try:
            return await self._line_by(message, deadline)
        except (BrokerUnavailableError, UsageError) as error:
            if attempts:  # also when the transport was closed meanwhile: the broker may have it
                raise UnconfirmedError(message.message_id, "the connection was lost before the confirm") from error
            raise

    async def _line_by(self, message: Outgoing, deadline: float) -> _Line:
        with anyio.move_on_after(deadline - self._clock.monotonic()):
            while True:
                line = self._line
                if line is None or line.channel.is_closed:
                    await self._open(deadline)
                elif line.channel.is_full:
                    await line.channel.drained()
                else:
                    return line
        if self._line is not None and not self._line.channel.is_closed:
            blocked = self._line.channel.blocked
            raise BrokerUnavailableError(
                f"message {message.message_id} was not sent: the broker takes nothing"
                + (f" ({blocked})" if blocked else "")
            )
        raise BrokerUnavailableError(
            f"message {message.message_id} was not sent: {self._identity} has no connection to publish over; "
            "is the broker running?"
        )

    async def _open(self, deadline: float) -> None:
        async with self._opening:
            if self._line is None or self._line.channel.is_closed:
                channel = await self._connection.hot_channel(timeout=deadline - self._clock.monotonic(), confirms=True)
                self._line = _Line(channel, opened_at=self._clock.monotonic())


def _is_lost(outcome: Outcome, message: Outgoing, exchange: str) -> bool:
    """Return whether the channel went down without a word about this message: another may be to blame."""
    if outcome.verdict is Verdict.LOST:
        return True
    words = str(outcome.cause)
    return any(
        about in words and itself not in words
        for about, itself in (
            ("access to topic", f"topic '{message.routing_key}'"),
            ("message size", f"message size {len(message.body)} "),
            ("no exchange", f"no exchange '{exchange}'"),
        )
    )


def _error(
    outcome: Outcome, message: Outgoing, *, exchange: str, timeout: float, blocked: str | None
) -> InterlockError:
    match outcome.verdict:
        case Verdict.UNROUTABLE:
            return UnroutableError(message.receiver, message.type, message.message_id, message.conversation_id)
        case Verdict.REFUSED:
            cause = f"the broker refused it: the queue behind {exchange} is full, or changes its leader"
            return UnconfirmedError(message.message_id, cause)
        case Verdict.UNDECLARED if exchange == JOURNAL:
            cause = f"the broker has no exchange {exchange}; `interlock topology apply` declares it"
            return UnconfirmedError(message.message_id, cause)
        case Verdict.UNDECLARED:
            return BrokerUnavailableError(
                f"message {message.message_id} was not sent: the broker has no exchange {exchange}; "
                "`interlock topology apply` declares it"
            )
        case Verdict.FORBIDDEN if isinstance(outcome.cause, aiormq.exceptions.ChannelPreconditionFailed):
            refused = NotPermittedError(
                f"message {message.message_id} was refused: {outcome.cause}; {message.sender} publishes as itself, "
                "with its own password or certificate, and no more than the broker's max_message_size at once"
            )
            refused.__cause__ = outcome.cause
            return refused
        case Verdict.FORBIDDEN:
            error = NotPermittedError(
                f"the broker does not let {message.sender} send '{message.type}' to {message.receiver} "
                f"(message {message.message_id}); is that pair in the catalogue's routes and the broker's definitions?"
            )
            error.__cause__ = outcome.cause
            return error
        case _:
            reason = f"; the broker takes nothing: {blocked}" if blocked else ""
            return UnconfirmedError(message.message_id, f"no confirm within {timeout:g} s{reason}")
