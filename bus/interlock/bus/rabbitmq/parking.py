"""A look through a parking queue: each message is fetched and held, and given back when the look ends.

It knows one queue and one channel of its own, and decides about no message.
"""

from __future__ import annotations

__all__ = ["look_through"]

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import aiormq
from aiormq.abc import DeliveredMessage

from interlock.bus.errors import BrokerUnavailableError
from interlock.bus.rabbitmq.connection import Connection, underlay
from interlock.bus.rabbitmq.delivery import died_at, died_of, first_routing_key
from interlock.bus.rabbitmq.loss import told_of_losses
from interlock.bus.transport import Parked, ParkedDelivery

_TIMEOUT = 30.0
_LOST = (aiormq.exceptions.AMQPError, aiormq.exceptions.ChannelInvalidStateError, OSError)


class _Held:
    """A message that was fetched and not acknowledged."""

    def __init__(self, raw: aiormq.Channel, message: DeliveredMessage) -> None:
        self._raw = raw
        self._tag = message.delivery_tag or 0
        properties = message.header.properties
        self._message = Parked(
            message.body,
            first_routing_key(message),
            properties.user_id,
            died_of(message),
            content_type=properties.content_type,
            reply_to=properties.reply_to,
            parked_at=died_at(message),
        )

    @property
    def message(self) -> Parked:
        return self._message

    async def remove(self) -> None:
        """See `ParkedDelivery.remove`."""
        try:
            with told_of_losses():
                await self._raw.basic_ack(self._tag)
                # The broker answers in order: once this one is answered, it has seen the acknowledgement.
                await self._raw.basic_qos(prefetch_count=0)
        except _LOST as error:
            raise BrokerUnavailableError(
                f"the connection was lost while a parked message was removed ({type(error).__name__}): look again"
            ) from error


@asynccontextmanager
async def look_through(connection: Connection, queue: str) -> AsyncGenerator[AsyncIterator[ParkedDelivery]]:
    """See `Transport.parking`. Closing the channel gives back what is held, in its old order."""
    channel = await connection.channel(timeout=_TIMEOUT)
    try:
        raw = await underlay(channel)
        async with aclosing(_fetched(raw, queue)) as messages:
            yield messages
    finally:
        await channel.close()


async def _fetched(raw: aiormq.Channel, queue: str) -> AsyncGenerator[ParkedDelivery]:
    while True:
        try:
            with told_of_losses():
                message = await raw.basic_get(queue)
        except aiormq.exceptions.ChannelNotFoundEntity as error:
            raise BrokerUnavailableError(
                f"no parking queue: {error}; `interlock topology apply` declares it"
            ) from error
        except _LOST as error:
            raise BrokerUnavailableError(f"the connection was lost while reading ({type(error).__name__})") from error
        if message.delivery_tag is None:
            return
        yield _Held(raw, message)
