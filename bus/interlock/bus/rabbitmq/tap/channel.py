"""A channel on the fast path: publishes, deliveries and acknowledgements without a task each; see `Channel`."""

from __future__ import annotations

__all__ = ["TapChannel"]

import asyncio
import sys
from collections.abc import Callable
from typing import NamedTuple

import aiormq
from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage

from interlock.bus.rabbitmq.channel import close_channel, settled
from interlock.bus.rabbitmq.tap import frames
from interlock.bus.rabbitmq.tap.acks import Acks
from interlock.bus.rabbitmq.tap.arrived import ArrivedContent
from interlock.bus.rabbitmq.tap.confirms import Confirms
from interlock.bus.rabbitmq.tap.delivery import TapDelivery
from interlock.bus.rabbitmq.tap.stream import Stream
from interlock.bus.rabbitmq.topology import MESSAGES
from interlock.bus.rabbitmq.verdict import LOST, Outcome, Verdict, outcome_of
from interlock.bus.transport import Outgoing

_PATIENCE_WITH_THE_SLOW = 0.02
"""Seconds for which an acknowledgement waits for a slower delivery before it: then it is written by itself."""

_ADDRESSES_KEPT = 1024

_CLOSES = {
    403: aiormq.exceptions.ChannelAccessRefused,
    404: aiormq.exceptions.ChannelNotFoundEntity,
    406: aiormq.exceptions.ChannelPreconditionFailed,
}


class _Address(NamedTuple):
    """What is the same in all messages from one sender, to one receiver, of one type."""

    publishes: tuple[bytes, ...]
    """A frame for each exchange."""
    header_ending: bytes


class TapChannel:
    """Implements `Channel` over a channel that aio-pika has opened and will close."""

    def __init__(self, stream: Stream, amqp: AbstractChannel, raw: aiormq.Channel, *, frame_max: int) -> None:
        """`frame_max`, in bytes, is what both sides have agreed on; 0 is no limit (AMQP 0-9-1, connection.tune)."""
        self.amqp = amqp
        self._raw = raw
        self._stream = stream
        self._number = raw.number
        self._largest = frame_max - frames.OVERHEAD if frame_max else sys.maxsize
        self._loop = asyncio.get_running_loop()
        self._is_over = False
        self._confirms = Confirms(self._loop)
        self._addresses: dict[tuple[str, str, str, tuple[str, ...]], _Address] = {}
        self._acks = Acks()
        self._is_settling = False
        self._late: asyncio.TimerHandle | None = None
        self._receive: Callable[[TapDelivery], None] | None = None
        self._on_end: Callable[[], None] | None = None
        self._tag = ""
        self._queue = ""
        stream.attach(self._number, self)

    def __repr__(self) -> str:
        return f"TapChannel({self._number}, unconfirmed={len(self._confirms)}, over={self._is_over})"

    @property
    def is_closed(self) -> bool:
        """See `Channel.is_closed`."""
        return self._is_over or self._raw.is_closed

    @property
    def is_consuming(self) -> bool:
        """See `Channel.is_consuming`."""
        return not self.is_closed and self._tag in self._raw.consumers

    @property
    def is_full(self) -> bool:
        """See `Channel.is_full`."""
        return self._stream.is_full

    @property
    def blocked(self) -> str | None:
        """See `Channel.blocked`."""
        return self._stream.blocked

    async def drained(self) -> None:
        """See `Channel.drained`."""
        await self._stream.drained()

    def publish(
        self, message: Outgoing, exchanges: tuple[str, ...], *, attempt: int, within: float
    ) -> list[asyncio.Future[Outcome]]:
        """See `Channel.publish`.

        What goes to several exchanges is encoded once. It has one AMQP message id: at most the first is mandatory, so
        a return is known to be its.
        """
        if self._is_over:
            return [self._lost() for _ in exchanges]
        address = self._addresses.get((message.sender, message.receiver, message.type, exchanges))
        if address is None:
            address = self._address(message, exchanges)
        message_id = f"{message.message_id}/{attempt}"
        header = frames.content_header(message, address.header_ending, message_id=message_id)
        content = frames.content(self._number, header, message.body, largest=self._largest)
        pieces: list[bytes] = []
        for publish in address.publishes:
            pieces.append(publish)
            pieces += content
        # Where nothing else is under way, waiting for more would only cost a turn of the event loop.
        is_alone = not len(self._confirms)
        outcomes = [self._confirms.expect(message_id, within=within) for _ in exchanges]
        self._stream.write(pieces, len(exchanges) * (len(message.body) + len(header)), at_once=is_alone)
        return outcomes

    async def consume(self, queue: str, receive: Callable[[TapDelivery], None], *, on_end: Callable[[], None]) -> None:
        """See `Channel.consume`."""
        self._receive = receive
        self._on_end = on_end
        self._queue = queue
        answer = await self._raw.basic_consume(queue, _never)
        self._tag = answer.consumer_tag or ""

    async def cancel(self) -> None:
        """See `Channel.cancel`."""
        if not self.is_closed and self._tag:
            self._write_all_settles()
            self._stream.flush()
            await settled(self._raw, self._queue)
            self._write_all_settles()

    async def aclose(self) -> None:
        """See `Channel.aclose`; the last acknowledgements go first: later ones would end the connection."""
        self._write_all_settles()
        self._stream.flush()
        self._end(LOST)
        await close_channel(self.amqp)

    def ack(self, tag: int) -> None:
        """Acknowledge a delivery with the others of this turn."""
        if not self._is_over:
            self._acks.ack(tag)
            if not self._is_settling:
                self._is_settling = True
                self._stream.settle_soon(self)

    def reject(self, tag: int, *, requeue: bool) -> None:
        """Refuse a delivery."""
        if not self._is_over:
            frame = frames.reject(self._number, tag, requeue=requeue)
            self._stream.write((frame,), len(frame))
            self._acks.settle_singly(tag)

    def content(self, arrived: ArrivedContent) -> None:
        """See `HotReceiver.content`."""
        if arrived.method[3] == frames.RETURN & 0xFF:
            self._confirms.returned(arrived.message_id, Outcome(Verdict.UNROUTABLE))
        elif self._receive is not None and not self._is_over:  # else the broker takes it back with the channel
            self._receive(TapDelivery(self, arrived))

    def confirmed(self, tag: int, *, multiple: bool, stored: bool) -> None:
        """See `HotReceiver.confirmed`."""
        self._confirms.confirm(tag, multiple=multiple, stored=stored)

    def cancelled(self) -> None:
        """See `HotReceiver.cancelled`."""
        self._tag = ""
        self._tell()

    def closed(self, code: int, reason: str) -> None:
        """See `HotReceiver.closed`."""
        error = _CLOSES.get(code)
        self._end(outcome_of(error(reason)) if error is not None else LOST)

    def lost(self) -> None:
        """See `HotReceiver.lost`."""
        self._end(LOST)

    def write_settles(self) -> None:
        """See `HotReceiver.write_settles`."""
        self._is_settling = False
        if self._is_over:
            return
        if tag := self._acks.take_multiple():
            frame = frames.ack(self._number, tag, multiple=True)
            self._stream.write((frame,), len(frame))
        if self._acks.are_waiting and self._late is None:
            self._late = self._loop.call_later(_PATIENCE_WITH_THE_SLOW, self._write_all_settles)

    def _write_all_settles(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
        if self._is_over:
            return
        self.write_settles()
        waiting = [frames.ack(self._number, tag, multiple=False) for tag in self._acks.take_waiting()]
        self._stream.write(waiting, sum(map(len, waiting)))

    def _address(self, message: Outgoing, exchanges: tuple[str, ...]) -> _Address:
        """Encode an address once: there are as many as pairs of receiver and type, and reply addresses, which pass."""
        if len(self._addresses) >= _ADDRESSES_KEPT:
            self._addresses.clear()
        publishes = tuple(
            frames.address_of(
                self._number, exchange, message.routing_key, mandatory=message.mandatory and exchange == MESSAGES
            )
            for exchange in exchanges
        )
        address = _Address(publishes, frames.header_ending(message))
        self._addresses[message.sender, message.receiver, message.type, exchanges] = address
        return address

    def _lost(self) -> asyncio.Future[Outcome]:
        future: asyncio.Future[Outcome] = self._loop.create_future()
        future.set_result(LOST)
        return future

    def _end(self, outcome: Outcome) -> None:
        if self._is_over:
            return
        self._is_over = True
        if self._late is not None:
            self._late.cancel()
            self._late = None
        self._confirms.end(outcome)
        self._tell()

    def _tell(self) -> None:
        if self._on_end is not None:
            self._on_end()


async def _never(_message: DeliveredMessage) -> None:
    """Be the callback that aiormq wants: the deliveries of a hot channel do not come to it."""
