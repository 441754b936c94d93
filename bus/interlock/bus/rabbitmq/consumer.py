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

from interlock.bus.clock import Clock
from interlock.bus.errors import BrokerUnavailableError, NotPermittedError
from interlock.bus.rabbitmq.channel import CLOSE_TIMEOUT, Channel, ChannelDelivery
from interlock.bus.rabbitmq.connection import Connection
from interlock.bus.rabbitmq.loss import told_of_losses
from interlock.protocol.errors import UsageError

Source = Callable[[AbstractChannel], Awaitable[str]]
"""Makes sure that the queue exists, on a fresh channel, and returns its name; runs again after every reconnection."""

_CONNECT_TIMEOUT = 30.0
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
        self._arrived: deque[ChannelDelivery] = deque()
        self._change: asyncio.Future[None] | None = None
        self._channel: Channel | None = None
        self._closed = False

    async def start(self) -> None:
        """Subscribe for the first time.

        Raises BrokerUnavailableError when there is no broker or no such queue, NotPermittedError when it is not ours.
        """
        await self._subscribe()

    def __aiter__(self) -> Consumer:
        return self

    async def __anext__(self) -> ChannelDelivery:
        while not self._closed:
            while self._arrived:
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
        self._tell()
        channel = self._channel
        try:
            with anyio.move_on_after(CLOSE_TIMEOUT, shield=True), suppress(*_LOST), told_of_losses():
                if channel is not None:
                    await channel.cancel()
        finally:  # also when cancelled once more: what was delivered would wait here for nobody
            await self._leave()

    @property
    def is_subscribed(self) -> bool:
        """Whether the broker is believed to know this consumer."""
        return self._channel is not None and self._channel.is_consuming

    async def _wait_for_change(self) -> None:
        """Return when something has arrived or ended, or it is time to look; one wake-up serves a whole read."""
        loop = asyncio.get_running_loop()
        self._change = loop.create_future()
        look = loop.call_later(self._watch, self._tell)
        try:
            await self._change
        finally:
            look.cancel()
            self._change = None

    async def _subscribe_again(self) -> None:
        try:
            await self._subscribe()
        except BrokerUnavailableError:
            await self._clock.sleep(_PAUSE)
        except UsageError:
            if not self._closed:
                raise  # else the transport was closed while it had no connection
        if self._closed:
            await self._leave()

    async def _subscribe(self) -> None:
        await self._leave()
        channel = await self._connection.hot_channel(timeout=_CONNECT_TIMEOUT)
        self._channel = channel
        try:
            with told_of_losses():
                queue = await self._source(channel.amqp)
                await channel.amqp.set_qos(prefetch_count=self._prefetch)
                await channel.consume(queue, self._receive, on_end=self._tell)
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

    def _receive(self, delivery: ChannelDelivery) -> None:
        self._arrived.append(delivery)
        self._tell()

    def _tell(self) -> None:
        change = self._change
        if change is not None and not change.done():
            change.set_result(None)

    async def _leave(self) -> None:
        """Close the channel; deliveries of it that were not handed out are the broker's again."""
        channel, self._channel = self._channel, None
        self._arrived.clear()
        if channel is not None:
            await channel.aclose()
