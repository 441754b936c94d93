"""A delivery as it came over the wire, read as far as somebody asks; it knows nothing of acknowledgements.

What it carries was written by whoever may publish, and the broker passes on what is no UTF-8: nothing here raises for
that, since it would take the connection with it, or the agent, again at every redelivery.
"""

from __future__ import annotations

__all__ = ["ArrivedContent"]

import struct

from interlock.bus.rabbitmq.attempts import DELIVERY_COUNT
from interlock.bus.rabbitmq.tap import frames
from interlock.bus.rabbitmq.tap.field_table import integer_in

_FLAGS_AT = 12
_PROPERTIES_AT = 14
_FLAGS = struct.Struct(">H")
_SIZE = struct.Struct(">I")
_DELIVERY_COUNT = DELIVERY_COUNT.encode()


class ArrivedContent:
    """Method, content header and body of a Basic.Deliver or Basic.Return.

    Of the header only what is asked for is decoded: the whole table costs as much as everything else about a message.
    Texts that are no UTF-8 have U+FFFD in the place of what is wrong with them.
    """

    __slots__ = (
        "_content_type",
        "_header",
        "_message_id_at",
        "_reply_to",
        "_table_at",
        "_user_id",
        "_walked",
        "body",
        "method",
    )

    def __init__(self, method: bytes) -> None:
        """`method` is the frame's content, from the class number on."""
        self.method = method
        self.body = b""
        self._header = b""
        self._walked = False
        self._content_type: str | None = None
        self._reply_to: str | None = None
        self._user_id: str | None = None
        self._message_id_at = 0
        self._table_at = 0

    def begin(self, content_header: bytes) -> int:
        """Take the content header, and return how many bytes of body follow."""
        self._header = content_header
        return int.from_bytes(content_header[4:12], "big")

    @property
    def content_type(self) -> str | None:
        """As the publisher declared it."""
        if not self._walked:
            self._walk()
        return self._content_type

    @property
    def reply_to(self) -> str | None:
        """As the publisher set it."""
        if not self._walked:
            self._walk()
        return self._reply_to

    @property
    def user_id(self) -> str | None:
        """As the broker has checked it."""
        if not self._walked:
            self._walk()
        return self._user_id

    @property
    def message_id(self) -> str | None:
        """As the publisher set it."""
        if not self._walked:
            self._walk()
        return _short(self._header, self._message_id_at)[0] if self._message_id_at else None

    @property
    def delivery_count(self) -> int | None:
        """How often the message was returned to its queue, as the broker counts from the second delivery on."""
        if not self._walked:
            self._walk()
        return integer_in(self._header, self._table_at, _DELIVERY_COUNT) if self._table_at else None

    def delivered(self) -> tuple[int, bool, str]:
        """Return a Basic.Deliver's tag, whether it was delivered before, and its routing key."""
        method = self.method
        at = 5 + method[4]
        tag = int.from_bytes(method[at : at + 8], "big")
        redelivered = bool(method[at + 8])
        at += 10 + method[at + 9]
        return tag, redelivered, method[at + 1 : at + 1 + method[at]].decode(errors="replace")

    def _walk(self) -> None:
        """Find the properties that a message is judged by, stepping over the others."""
        data = self._header
        (flags,) = _FLAGS.unpack_from(data, _FLAGS_AT)
        at = _PROPERTIES_AT
        if flags & frames.CONTENT_TYPE:
            self._content_type, at = _short(data, at)
        if flags & frames.CONTENT_ENCODING:
            at += 1 + data[at]
        if flags & frames.HEADERS:
            self._table_at = at
            at += 4 + _SIZE.unpack_from(data, at)[0]
        if flags & frames.DELIVERY_MODE:
            at += 1
        if flags & frames.PRIORITY:
            at += 1
        if flags & frames.CORRELATION_ID:
            at += 1 + data[at]
        if flags & frames.REPLY_TO:
            self._reply_to, at = _short(data, at)
        if flags & frames.EXPIRATION:
            at += 1 + data[at]
        if flags & frames.MESSAGE_ID:
            self._message_id_at = at
            at += 1 + data[at]
        if flags & frames.TIMESTAMP:
            at += 8
        if flags & frames.TYPE:
            at += 1 + data[at]
        if flags & frames.USER_ID:
            self._user_id, at = _short(data, at)
        self._walked = True


def _short(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    return data[at + 1 : end].decode(errors="replace"), end
