"""Makes content headers decodable that the client library fails on; it knows properties, and nothing of channels.

The broker passes on what a publisher wrote into a text or a table (rabbit_binary_parser checks kinds and sizes). pamqp
raises for texts that are no UTF-8, for moments after the year 9999 and for tables within tables without end, and aiormq
then gives the connection up: one such message would keep everybody from looking through the queue that holds it.
"""

from __future__ import annotations

__all__ = ["mended"]

import struct

from pamqp import decode, header

from interlock.bus.rabbitmq.tap import frames
from interlock.bus.rabbitmq.tap.field_table import entries_of

_FLAGS = struct.Struct(">H")
_SIZE = struct.Struct(">I")
_FLAGS_AT = 12
_PROPERTIES_AT = 14

_UNREADABLE = (ValueError, OverflowError, OSError, RecursionError)
"""What pamqp raises for values; UnicodeDecodeError is a ValueError, `fromtimestamp` raises the next two."""

_KNOWN_FLAGS = 0xFFFC
_MORE_FLAGS = 1
"""Says that more flags follow: pamqp 4 raises where there are none, and pamqp 3 looks for them for ever."""

_BEFORE_MESSAGE_ID = (frames.CORRELATION_ID, frames.REPLY_TO, frames.EXPIRATION, frames.MESSAGE_ID)
_AFTER_TIMESTAMP = (frames.TYPE, frames.USER_ID, frames.APP_ID, frames.CLUSTER_ID)


def mended(content_header: bytes) -> bytes:
    """Return these bytes, or where the client library could not decode them, others that it can.

    What is wrong with a text is replaced, and an entry or a moment that cannot be decoded is left out.
    """
    return content_header if _is_readable(content_header) else _mend(content_header)


def _is_readable(content_header: bytes) -> bool:
    if content_header[_FLAGS_AT + 1] & _MORE_FLAGS:
        return False
    try:
        header.ContentHeader().unmarshal(content_header)
    except _UNREADABLE:
        return False
    return True


def _mend(data: bytes) -> bytes:
    (flags,) = _FLAGS.unpack_from(data, _FLAGS_AT)
    at = _PROPERTIES_AT
    kept: list[bytes] = []

    def texts(*names: int) -> None:
        nonlocal at
        for name in names:
            if flags & name:
                following = at + 1 + data[at]
                kept.append(_text(data[at + 1 : following]))
                at = following

    texts(frames.CONTENT_TYPE, frames.CONTENT_ENCODING)
    if flags & frames.HEADERS:
        following = at + 4 + _SIZE.unpack_from(data, at)[0]
        kept.append(_table(data, at))
        at = following
    for one_byte in (frames.DELIVERY_MODE, frames.PRIORITY):
        if flags & one_byte:
            kept.append(data[at : at + 1])
            at += 1
    texts(*_BEFORE_MESSAGE_ID)
    if flags & frames.TIMESTAMP:
        at += 8
        flags &= ~frames.TIMESTAMP
    texts(*_AFTER_TIMESTAMP)
    return data[:_FLAGS_AT] + _FLAGS.pack(flags & _KNOWN_FLAGS) + b"".join(kept)


def _text(data: bytes) -> bytes:
    """Return a short text with a question mark in the place of all that is no ASCII: it is no longer than before."""
    mended = data.decode(errors="replace").encode("ascii", "replace")
    return bytes((len(mended),)) + mended


def _table(data: bytes, at: int) -> bytes:
    kept = b"".join(entry for entry in entries_of(data, at) if _is_entry(entry))
    return _SIZE.pack(len(kept)) + kept


def _is_entry(entry: bytes) -> bool:
    try:
        decode.field_table(_SIZE.pack(len(entry)) + entry)
    except _UNREADABLE:
        return False
    return True
