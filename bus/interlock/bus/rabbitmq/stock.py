"""A channel whose every frame goes through aio-pika: the reference for the fast path; see `Channel`."""

from __future__ import annotations

__all__ = ["StockChannel"]

import asyncio
from collections.abc import Callable

import aiormq
from aio_pika.abc import AbstractChannel
from aiormq import spec
from aiormq.abc import DeliveredMessage
from pamqp.common import FieldTable

from interlock.bus.rabbitmq.channel import close_channel, settled
from interlock.bus.rabbitmq.delivery import RabbitDelivery
from interlock.bus.rabbitmq.topology import MESSAGES
from interlock.bus.rabbitmq.verdict import LOST, SILENT, STORED, Outcome, outcome_of
from interlock.bus.transport import Outgoing

_PERSISTENT = 2
_MOST_UNCONFIRMED = 8 * 1024 * 1024
"""Bytes of bodies that may wait for their confirms before publishers have to wait: aiormq encodes each at once, and
holds it until the socket takes it."""

_LAST_WORDS = 1.0
"""Seconds after a channel's end in which aiormq may still tell how its publishes ended."""


class StockChannel:
    """Implements `Channel` with a task per publish."""

    blocked: str | None = None
    """aiormq does not tell."""

    def __init__(self, amqp: AbstractChannel, raw: aiormq.Channel) -> None:
        self.amqp = amqp
        self._raw = raw
        self._loop = asyncio.get_running_loop()
        self._tag = ""
        self._queue = ""
        self._unconfirmed = 0
        self._room: asyncio.Future[None] | None = None
        self._waiting: set[asyncio.Future[Outcome]] = set()
        raw.closing.add_done_callback(self._has_closed)

    def __repr__(self) -> str:
        return f"StockChannel({self._raw.number}, closed={self.is_closed})"

    @property
    def is_closed(self) -> bool:
        """See `Channel.is_closed`."""
        return self._raw.is_closed

    @property
    def is_consuming(self) -> bool:
        """See `Channel.is_consuming`."""
        return not self._raw.is_closed and self._tag in self._raw.consumers

    @property
    def is_full(self) -> bool:
        """See `Channel.is_full`."""
        return self._unconfirmed > _MOST_UNCONFIRMED

    async def drained(self) -> None:
        """See `Channel.drained`."""
        while self.is_full:
            if self._room is None:
                self._room = self._loop.create_future()
            await asyncio.shield(self._room)

    def publish(
        self, message: Outgoing, exchanges: tuple[str, ...], *, attempt: int, within: float
    ) -> list[asyncio.Future[Outcome]]:
        """See `Channel.publish`."""
        return [
            # An id of its own for each, since aiormq matches returns by it.
            self._publish(message, exchange, message_id=f"{message.message_id}/{attempt}.{number}", within=within)
            for number, exchange in enumerate(exchanges)
        ]

    def _publish(self, message: Outgoing, exchange: str, *, message_id: str, within: float) -> asyncio.Future[Outcome]:
        """Publish in a task of its own.

        aiormq cancels those that a lost connection leaves behind: here that is an outcome, told apart from a
        cancellation that somebody asked for.
        """
        outcome: asyncio.Future[Outcome] = self._loop.create_future()
        task = asyncio.create_task(
            self._raw.basic_publish(
                message.body,
                exchange=exchange,
                routing_key=message.routing_key,
                properties=_properties(message, message_id=message_id),
                mandatory=message.mandatory and exchange == MESSAGES,
                wait=False,
            )
        )

        self._unconfirmed += len(message.body)

        def conclude(done: asyncio.Task[object]) -> None:
            overdue.cancel()
            self._confirm(len(message.body))
            if outcome.done():
                if not done.cancelled():
                    done.exception()  # nobody asks any more
            elif done.cancelled():
                outcome.set_result(LOST)
            elif (error := done.exception()) is not None:
                _tell(outcome, error)
            else:
                outcome.set_result(STORED if isinstance(done.result(), spec.Basic.Ack) else SILENT)

        def give_up() -> None:
            if not outcome.done():
                outcome.set_result(SILENT)

        def follow(_: asyncio.Future[Outcome]) -> None:
            task.cancel()

        self._waiting.add(outcome)
        outcome.add_done_callback(self._waiting.discard)
        overdue = self._loop.call_later(max(0.0, within), give_up)
        task.add_done_callback(conclude)
        outcome.add_done_callback(follow)
        return outcome

    def _has_closed(self, closing: asyncio.Future[object]) -> None:
        """Have nobody wait for what aiormq leaves without a word: publishes begun while their connection ended."""
        if not closing.cancelled():
            closing.exception()
        self._loop.call_later(_LAST_WORDS, self._end)

    def _end(self) -> None:
        for outcome in tuple(self._waiting):
            if not outcome.done():
                outcome.set_result(LOST)

    def _confirm(self, size: int) -> None:
        self._unconfirmed -= size
        if self._room is not None and not self.is_full:
            self._room.set_result(None)
            self._room = None

    async def consume(
        self,
        queue: str,
        receive: Callable[[RabbitDelivery], None],
        *,
        on_end: Callable[[], None],  # noqa: ARG002 - aiormq tells of no end
    ) -> None:
        """See `Channel.consume`."""

        async def take(message: DeliveredMessage) -> None:
            receive(RabbitDelivery(message))

        self._queue = queue
        answer = await self._raw.basic_consume(queue, take)
        self._tag = answer.consumer_tag or ""

    async def cancel(self) -> None:
        """See `Channel.cancel`."""
        if not self._raw.is_closed and self._tag:
            await settled(self._raw, self._queue)

    async def aclose(self) -> None:
        """See `Channel.aclose`."""
        await close_channel(self.amqp)


def _tell(outcome: asyncio.Future[Outcome], error: BaseException) -> None:
    try:
        outcome.set_result(outcome_of(error))
    except Exception as unknown:  # what no verdict follows from is the program's own mistake: its caller sees it
        outcome.set_exception(unknown)


def _properties(message: Outgoing, *, message_id: str) -> spec.Basic.Properties:
    return spec.Basic.Properties(
        content_type="application/json",
        delivery_mode=_PERSISTENT,
        message_id=message_id,
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
