"""A channel as publisher and consumer use it, whichever client moves its frames; it knows no connection.

There are two: `StockChannel` does everything through aio-pika, `TapChannel` the hot part by itself.
"""

from __future__ import annotations

__all__ = ["CLOSE_TIMEOUT", "Channel", "ChannelDelivery", "close_channel", "settled"]

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import aiormq
import anyio
from aio_pika.abc import AbstractChannel

from interlock.bus.rabbitmq.loss import told_of_losses
from interlock.bus.rabbitmq.verdict import Outcome
from interlock.bus.transport import Delivery, Outgoing

CLOSE_TIMEOUT = 5.0
"""Seconds for the broker's answer when a channel is closed."""


_QUESTIONS = 2


class ChannelDelivery(Delivery, Protocol):
    """A delivery that can tell whether it is still ours."""

    @property
    def is_stale(self) -> bool:
        """Whether its channel is gone, so that the message comes again."""
        ...


class Channel(Protocol):
    """An open channel that is either published to or consumed from."""

    amqp: AbstractChannel
    """For declaring and the like."""

    @property
    def is_closed(self) -> bool:
        """Whether it is gone for good."""
        ...

    @property
    def is_consuming(self) -> bool:
        """Whether the broker is believed to know its consumer."""
        ...

    @property
    def is_full(self) -> bool:
        """Whether so much waits to be written that publishers should wait for `drained`."""
        ...

    @property
    def blocked(self) -> str | None:
        """Why the broker takes no publishes on this connection at the moment, where it has said so."""
        ...

    async def drained(self) -> None:
        """Return when there is room again, or none is needed any more."""
        ...

    def publish(
        self, message: Outgoing, exchanges: tuple[str, ...], *, attempt: int, within: float
    ) -> list[asyncio.Future[Outcome]]:
        """Publish to each of these exchanges, and return what the outcomes will be.

        `attempt` distinguishes the attempts of one process at one message. After `within` seconds an outcome is
        silence. Cancelling a future gives up waiting.
        """
        ...

    async def consume(
        self, queue: str, receive: Callable[[ChannelDelivery], None], *, on_end: Callable[[], None]
    ) -> None:
        """Subscribe. `on_end` is called when the subscription ends by itself, as far as the client notices."""
        ...

    async def cancel(self) -> None:
        """Let the broker know what was settled; closing the channel then ends the subscription."""
        ...

    async def aclose(self) -> None:
        """Close it within a bound; publishes on the way count as lost."""
        ...


async def settled(raw: aiormq.Channel, queue: str) -> None:
    """Return when the queue knows what this channel has settled.

    A quorum queue takes some 32 acknowledgements at a time (rabbit_fifo_client) and drops the others when the channel
    closes at once. The answers to these questions come after them. `basic.cancel` would do as well, but lets the next
    consumer have newer messages before those that this one still holds; the channel's end gives them back first.
    """
    for _ in range(_QUESTIONS):
        await raw.queue_declare(queue, passive=True)


async def close_channel(channel: AbstractChannel) -> None:
    """Close aio-pika's channel, and wait for that within a bound; one that is lost is closed already.

    It goes on when the wait is cancelled or over: aiormq would write it once more, and the broker then closes the
    connection.
    """
    closing = asyncio.create_task(_close(channel))
    with anyio.move_on_after(CLOSE_TIMEOUT, shield=True):
        await asyncio.shield(closing)


async def _close(channel: AbstractChannel) -> None:
    with (
        suppress(aiormq.exceptions.AMQPError, aiormq.exceptions.ChannelInvalidStateError, OSError),
        told_of_losses(),
    ):
        await channel.close()
