"""What every transport checks before a message leaves; it knows limits of AMQP, not of any broker."""

from __future__ import annotations

__all__ = ["MAX_BODY_BYTES", "admit"]

from interlock.bus.errors import NotPermittedError
from interlock.bus.transport import Outgoing
from interlock.protocol.errors import InvalidMessageError, RejectionCode

MAX_BODY_BYTES = 16 * 1024 * 1024
"""RabbitMQ 4's default `max_message_size`. A bigger body would close the channel under everything else in flight."""

_MAX_ROUTING_KEY_BYTES = 255  # a short string of AMQP 0-9-1, section 4.2.5.3


def admit(message: Outgoing, *, identity: str) -> None:
    """Return if this identity may hand the message to a broker.

    Raises NotPermittedError when the sender is somebody else, InvalidMessageError when a limit is exceeded.
    """
    if message.sender != identity:
        raise NotPermittedError(
            f"message {message.message_id} says that it is from '{message.sender}', but this connection is "
            f"{identity}'s: publish it over the sender's own connection"
        )
    if len(message.body) > MAX_BODY_BYTES:
        raise InvalidMessageError(
            RejectionCode.TOO_LARGE,
            f"the body of message {message.message_id} has {len(message.body)} bytes, {MAX_BODY_BYTES} are allowed",
        )
    if len(message.routing_key.encode()) > _MAX_ROUTING_KEY_BYTES:
        raise InvalidMessageError(
            RejectionCode.INVALID_FIELD,
            f"the routing key of message {message.message_id} is longer than {_MAX_ROUTING_KEY_BYTES} bytes",
            path="to",
        )
