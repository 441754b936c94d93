"""One attempt at delivering a message on the fast path; see `Delivery`."""

from __future__ import annotations

__all__ = ["TapDelivery"]

from typing import Protocol

from interlock.bus.rabbitmq.attempts import attempt_of
from interlock.bus.rabbitmq.tap.arrived import ArrivedContent
from interlock.protocol.errors import UsageError


class Settling(Protocol):
    """The channel that a delivery came by."""

    @property
    def is_closed(self) -> bool:
        """Whether what it has delivered comes again."""
        ...

    def ack(self, tag: int) -> None:
        """Acknowledge."""
        ...

    def reject(self, tag: int, *, requeue: bool) -> None:
        """Refuse."""
        ...


class TapDelivery:
    """A message with its delivery tag.

    Settling after the channel was lost changes nothing: the broker has already taken the message back, and it comes
    again. Acknowledgements are written at the end of the event loop's turn, together.
    """

    __slots__ = ("_channel", "_content", "_redelivered", "_settled", "_tag", "body", "routing_key")

    def __init__(self, channel: Settling, content: ArrivedContent) -> None:
        self._channel = channel
        self._content = content
        self._tag, self._redelivered, self.routing_key = content.delivered()
        self._settled = False
        self.body = content.body

    def __repr__(self) -> str:
        return f"TapDelivery({self.routing_key!r}, attempt={self.attempt})"

    @property
    def sender(self) -> str | None:
        """See `Arrival.sender`."""
        return self._content.user_id

    @property
    def content_type(self) -> str | None:
        """See `Arrival.content_type`."""
        return self._content.content_type

    @property
    def reply_to(self) -> str | None:
        """See `Arrival.reply_to`."""
        return self._content.reply_to

    @property
    def attempt(self) -> int:
        """See `Delivery.attempt`."""
        return attempt_of(self._content.delivery_count) if self._redelivered else 1

    @property
    def is_stale(self) -> bool:
        """Whether its channel is gone, so that the message comes again."""
        return self._channel.is_closed

    async def ack(self) -> None:
        """See `Delivery.ack`."""
        self._settle()
        self._channel.ack(self._tag)

    async def reject(self) -> None:
        """See `Delivery.reject`."""
        self._settle()
        self._channel.reject(self._tag, requeue=False)

    async def requeue(self) -> None:
        """See `Delivery.requeue`; by `basic.reject`, since from RabbitMQ 4.3 `basic.nack` does not count."""
        self._settle()
        self._channel.reject(self._tag, requeue=True)

    def _settle(self) -> None:
        if self._settled:
            raise UsageError(f"a delivery of '{self.routing_key}' was settled twice; settle each exactly once")
        self._settled = True
