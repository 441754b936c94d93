"""The hot path in: deliveries of one queue, across lost connections; it knows queues and channels, not messages.

A consumer that the broker cancelled, or whose channel died, gets no signal from the client library that could be
relied on. So whoever waits for the next delivery looks, at every interval, whether the subscription still lives.
"""

from __future__ import annotations

__all__ = ["Consumer", "Source"]

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiormq
import anyio
from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage

from interlock.bus.clock import Clock
from interlock.bus.errors import BrokerUnavailableError, NotPermittedError
from interlock.bus.rabbitmq.connection import Connection, underlay
from interlock.bus.rabbitmq.delivery import RabbitDelivery

Source = Callable[[AbstractChannel], Awaitable[str]]
"""Makes sure that the queue exists, on a fresh channel, and returns its name; runs again after every reconnection."""

_CONNECT_TIMEOUT = 30.0
_CLOSE_TIMEOUT = 5.0
_PAUSE = 0.5
_LOST = (aiormq.exceptions.AMQPError, aiormq.exceptions.ChannelInvalidStateError, OSError)


class Consumer:
    """Iterates over a queue's deliveries in order; ends after `aclose`.

    `watch` is the interval, in seconds, at which it is checked that the broker still knows this consumer. With
    `settles`, each delivery is acknowledged when it is handed out, for queues that are read at most once.
    """

    def __init__(
        self,
        connection: Connection,
        source: Source,
        *,
        clock: Clock,
        prefetch: int,
        watch: float,
        settles: bool = False,
    ) -> None:
        self._connection = connection
        self._source = source
        self._clock = clock
        self._prefetch = prefetch
        self._watch = watch
        self._settles = settles
        self._arrived: deque[RabbitDelivery] = deque()
        self._changed = asyncio.Event()
        self._channel: AbstractChannel | None = None
        self._raw: aiormq.Channel | None = None
        self._tag = ""
        self._closed = False

    async def start(self) -> None:
        """Subscribe for the first time.

        Raises BrokerUnavailableError when there is no broker or no such queue, NotPermittedError when it is not ours.
        """
        await self._subscribe()

    def __aiter__(self) -> Consumer:
        return self

    async def __anext__(self) -> RabbitDelivery:
        while not self._closed:
            if self._arrived:
                delivery = self._arrived.popleft()
                if delivery.is_stale:
                    continue
                if self._settles:
                    await delivery.ack()
                return delivery
            if self.is_subscribed:
                await self._wait_for_change()
            else:
                await self._subscribe_again()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Stop; what was not settled comes again. Idempotent."""
        self._closed = True
        self._changed.set()
        raw = self._raw
        with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True), suppress(*_LOST):
            # The cancel's answer also tells that every settle before it was written.
            if raw is not None and not raw.is_closed:
                await raw.basic_cancel(self._tag)
        await self._leave()

    @property
    def is_subscribed(self) -> bool:
        """Whether the broker is believed to know this consumer."""
        return self._raw is not None and not self._raw.is_closed and self._tag in self._raw.consumers

    async def _wait_for_change(self) -> None:
        self._changed.clear()
        with anyio.move_on_after(self._watch):
            await self._changed.wait()

    async def _subscribe_again(self) -> None:
        try:
            await self._subscribe()
        except BrokerUnavailableError:
            await self._clock.sleep(_PAUSE)

    async def _subscribe(self) -> None:
        await self._leave()
        self._channel = channel = await self._connection.channel(timeout=_CONNECT_TIMEOUT)
        try:
            queue = await self._source(channel)
            await channel.set_qos(prefetch_count=self._prefetch)
            self._raw = raw = await underlay(channel)
            answer = await raw.basic_consume(queue, self._receive)
            self._tag = answer.consumer_tag or ""
        except aiormq.exceptions.ChannelAccessRefused as error:
            raise NotPermittedError(f"the broker refuses to subscribe: {error}; is it this user's queue?") from error
        except aiormq.exceptions.ChannelNotFoundEntity as error:
            raise BrokerUnavailableError(
                f"nothing to consume: {error}; `interlock topology apply` declares what is missing"
            ) from error
        except _LOST as error:
            raise BrokerUnavailableError(
                f"the connection was lost while subscribing ({type(error).__name__})"
            ) from error

    async def _receive(self, message: DeliveredMessage) -> None:
        self._arrived.append(RabbitDelivery(message))
        self._changed.set()

    async def _leave(self) -> None:
        """Close the channel; deliveries of it that were not handed out are the broker's again."""
        channel, self._channel, self._raw = self._channel, None, None
        self._arrived.clear()
        if channel is not None:
            with anyio.move_on_after(_CLOSE_TIMEOUT, shield=True), suppress(*_LOST):
                await channel.close()
