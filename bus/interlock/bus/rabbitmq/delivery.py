"""One attempt at delivering a message over AMQP; it knows the channel that it came by, and settles only there."""

from __future__ import annotations

__all__ = ["RabbitDelivery", "died_at", "died_of", "first_routing_key"]

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiormq.abc import DeliveredMessage
from aiormq.exceptions import AMQPError, ChannelInvalidStateError

from interlock.bus.rabbitmq.attempts import DELIVERY_COUNT, attempt_of
from interlock.protocol.errors import UsageError


class RabbitDelivery:
    """A message with its delivery tag.

    Settling after the channel was lost changes nothing: the broker has already taken the message back, and it comes
    again. Settles are written in order and not waited for.
    """

    __slots__ = ("_message", "_settled")

    def __init__(self, message: DeliveredMessage) -> None:
        self._message = message
        self._settled = False

    def __repr__(self) -> str:
        return f"RabbitDelivery({self.routing_key!r}, attempt={self.attempt})"

    @property
    def body(self) -> bytes:
        return self._message.body

    @property
    def routing_key(self) -> str:
        return self._message.routing_key or ""

    @property
    def sender(self) -> str | None:
        return self._message.header.properties.user_id

    @property
    def content_type(self) -> str | None:
        return self._message.header.properties.content_type

    @property
    def reply_to(self) -> str | None:
        return self._message.header.properties.reply_to

    @property
    def attempt(self) -> int:
        if not getattr(self._message.delivery, "redelivered", False):
            return 1
        return attempt_of((self._message.header.properties.headers or {}).get(DELIVERY_COUNT))

    @property
    def is_stale(self) -> bool:
        """Whether its channel is gone, so that the message comes again."""
        return self._message.channel.is_closed

    async def ack(self) -> None:
        """See `Delivery.ack`."""
        tag = self._settle()
        try:
            await self._message.channel.basic_ack(tag, wait=False)
        except (AMQPError, ChannelInvalidStateError, OSError):
            return

    async def reject(self) -> None:
        """See `Delivery.reject`."""
        await self._return(requeue=False)

    async def requeue(self) -> None:
        """See `Delivery.requeue`; by `basic.reject`, since from RabbitMQ 4.3 `basic.nack` does not count."""
        await self._return(requeue=True)

    async def _return(self, *, requeue: bool) -> None:
        tag = self._settle()
        try:
            await self._message.channel.basic_reject(tag, requeue=requeue, wait=False)
        except (AMQPError, ChannelInvalidStateError, OSError):
            return

    def _settle(self) -> int:
        if self._settled:
            raise UsageError(f"a delivery of '{self.routing_key}' was settled twice; settle each exactly once")
        self._settled = True
        return self._message.delivery_tag or 0


def died_of(message: DeliveredMessage) -> str:
    """Return why a message lies in a parking queue: `rejected` or `delivery_limit`."""
    return str(_death(message).get("reason", "unknown"))


def died_at(message: DeliveredMessage) -> datetime | None:
    """Return when the broker has parked a message."""
    moment = _death(message).get("time")
    if not isinstance(moment, datetime):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def first_routing_key(message: DeliveredMessage) -> str:
    """Return the key that a parked message was published with; the broker parks under the agent's name."""
    keys = _death(message).get("routing-keys") or [message.routing_key]
    return str(keys[0])


def _death(message: DeliveredMessage) -> Mapping[str, Any]:
    deaths: Any = (message.header.properties.headers or {}).get("x-death") or [{}]
    return dict(deaths[0])
