"""Which deliveries are messages at all: decoded, from whom the broker says, at the address that they name."""

from __future__ import annotations

__all__ = ["accept"]

from interlock.bus.transport import Arrival, routing_key
from interlock.protocol.catalogue import Catalogue
from interlock.protocol.codec import CONTENT_TYPE, decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError, RejectionCode
from interlock.protocol.message import Message


def accept(delivery: Arrival, *, catalogue: Catalogue) -> Envelope[Message]:
    """Return the delivery's envelope.

    Raises InvalidMessageError when the bytes are no envelope, when its sender is not the one that the broker
    authenticated, when it was routed under another type or receiver, or when the catalogue has no such route.
    """
    if delivery.content_type != CONTENT_TYPE:
        raise InvalidMessageError(RejectionCode.WRONG_CONTENT_TYPE, f"the content type is not {CONTENT_TYPE}")
    envelope = decode(delivery.body, catalogue=catalogue)
    if delivery.sender != envelope.sender:
        raise InvalidMessageError(
            RejectionCode.WRONG_SENDER, "the broker authenticated somebody else than the sender named here", path="from"
        )
    addressed = delivery.routing_key == routing_key(envelope.receiver, envelope.type)
    if not addressed and not _is_reply(delivery.routing_key, envelope):
        raise InvalidMessageError(
            RejectionCode.WRONG_RECEIVER, "it was routed under another receiver or type than it names", path="to"
        )
    if not catalogue.allows(envelope.type, envelope.sender, envelope.receiver):
        raise InvalidMessageError(
            RejectionCode.NOT_ALLOWED, "the catalogue lets this sender send no such type to this receiver", path="type"
        )
    return envelope


def _is_reply(key: str, envelope: Envelope[Message]) -> bool:
    """Return whether it came to an address that the receiver opened for answers: `reply.<agent>.<n>.<type>`."""
    return key.startswith(f"reply.{envelope.receiver}.") and key.endswith(f".{envelope.type}")
