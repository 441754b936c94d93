"""AMQP 0-9-1 frames as the hot path reads and writes them; it knows bytes, and nothing of channels' states.

Layout and numbers are the specification's (amqp0-9-1.pdf, 4.2.3 and 4.2.6; amqp0-9-1.xml for the methods).
"""

from __future__ import annotations

__all__ = [
    "ACK",
    "BODY",
    "CANCEL",
    "CHANNEL_CLOSE",
    "CHANNEL_CLOSE_OK",
    "CONNECTION_BLOCKED",
    "CONNECTION_UNBLOCKED",
    "DELIVER",
    "END",
    "FRAME",
    "HEADER",
    "HEARTBEAT",
    "METHOD",
    "NACK",
    "OVERHEAD",
    "RETURN",
    "ack",
    "address_of",
    "content",
    "content_header",
    "header_ending",
    "reject",
    "short_string",
]

import struct

from interlock.bus.transport import Outgoing

FRAME = struct.Struct(">BHI")
"""Kind, channel and size of what follows; behind that stands `END`."""
METHOD, HEADER, BODY = 1, 2, 3
END = 0xCE
OVERHEAD = 8
"""Bytes of a frame beside its content: `frame_max` counts them."""
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"

CONNECTION_BLOCKED, CONNECTION_UNBLOCKED = 0x000A003C, 0x000A003D
CHANNEL_CLOSE, CHANNEL_CLOSE_OK = 0x00140028, 0x00140029
CANCEL, RETURN, DELIVER, ACK, NACK = 0x003C001E, 0x003C0032, 0x003C003C, 0x003C0050, 0x003C0078
"""Class and method, as one number."""

_PUBLISH = struct.Struct(">HHH")
_ACK = struct.Struct(">BHIHHQBB")
_MANDATORY = 1

# The properties' flags, highest first: the order in which those that are present follow each other.
CONTENT_TYPE, CONTENT_ENCODING, HEADERS, DELIVERY_MODE, PRIORITY = 1 << 15, 1 << 14, 1 << 13, 1 << 12, 1 << 11
CORRELATION_ID, REPLY_TO, EXPIRATION, MESSAGE_ID, TIMESTAMP = 1 << 10, 1 << 9, 1 << 8, 1 << 7, 1 << 6
TYPE, USER_ID, APP_ID, CLUSTER_ID = 1 << 5, 1 << 4, 1 << 3, 1 << 2

_ALWAYS = CONTENT_TYPE | HEADERS | DELIVERY_MODE | MESSAGE_ID | TIMESTAMP | TYPE | USER_ID
_JSON = b"\x10application/json"
_PERSISTENT = b"\x02"
_CONVERSATION = b"\x19interlock-conversation-idS"
_TRACEPARENT = b"\x0btraceparentS"
_BEGINNING = struct.Struct(f">HHQH{len(_JSON)}sI{len(_CONVERSATION)}sI")
"""Class, weight, size of the body, flags, content type; the table's size, its first name, and the size of its value."""
_SIZE = struct.Struct(">I")
_SECONDS = struct.Struct(">Q")


def content_header(message: Outgoing, ending: bytes, *, message_id: str) -> bytes:
    """Return the content header of a persistent JSON message.

    `message_id` is this attempt's own, `ending` is what `header_ending` returns for such messages.
    """
    conversation = message.conversation_id.encode()
    flags = _ALWAYS
    trace = addresses = b""
    if message.traceparent:
        trace = message.traceparent.encode()
        trace = _TRACEPARENT + _SIZE.pack(len(trace)) + trace
    if message.causation_id is not None:
        flags |= CORRELATION_ID
        addresses = short_string(message.causation_id)
    if message.reply_to is not None:
        flags |= REPLY_TO
        addresses += short_string(message.reply_to)
    table_size = len(_CONVERSATION) + _SIZE.size + len(conversation) + len(trace)
    return b"".join(
        (
            _BEGINNING.pack(60, 0, len(message.body), flags, _JSON, table_size, _CONVERSATION, len(conversation)),
            conversation,
            trace,
            _PERSISTENT,
            addresses,
            short_string(message_id),
            _SECONDS.pack(int(message.sent_at.timestamp())),
            ending,
        )
    )


def header_ending(message: Outgoing) -> bytes:
    """Return the last properties, which are the same for all messages of this type and sender."""
    return short_string(message.type) + short_string(message.sender)


def address_of(channel: int, exchange: str, routing_key: str, *, mandatory: bool) -> bytes:
    """Return the whole frame of Basic.Publish; it is the same for every message to the same address."""
    method = b"".join(
        (
            _PUBLISH.pack(60, 40, 0),
            short_string(exchange),
            short_string(routing_key),
            bytes((_MANDATORY if mandatory else 0,)),
        )
    )
    return FRAME.pack(METHOD, channel, len(method)) + method + b"\xce"


def content(channel: int, header: bytes, body: bytes, *, largest: int) -> tuple[bytes, ...]:
    """Return the pieces of a content header and its body, no frame's content being larger than `largest` bytes."""
    size = len(body)
    head = FRAME.pack(HEADER, channel, len(header))
    if not size:
        return head, header, b"\xce"
    if size <= largest:
        return head, header, b"\xce" + FRAME.pack(BODY, channel, size), body, b"\xce"
    pieces = [head, header]
    for start in range(0, size, largest):
        piece = body[start : start + largest]
        pieces += (b"\xce" + FRAME.pack(BODY, channel, len(piece)), piece)
    return *pieces, b"\xce"


def ack(channel: int, tag: int, *, multiple: bool) -> bytes:
    """Return the frame that acknowledges a delivery; with `multiple` also all before it."""
    return _ACK.pack(METHOD, channel, 13, 60, 80, tag, multiple, END)


def reject(channel: int, tag: int, *, requeue: bool) -> bytes:
    """Return the frame that refuses a delivery."""
    return _ACK.pack(METHOD, channel, 13, 60, 90, tag, requeue, END)


def short_string(text: str) -> bytes:
    """Return a text as AMQP writes short ones. Raises ValueError beyond 255 bytes."""
    encoded = text.encode()
    return bytes((len(encoded),)) + encoded
