"""A delivery as it came over the wire, read as far as somebody asks; it knows nothing of acknowledgements."""

from __future__ import annotations

__all__ = ["ArrivedContent"]

import struct

from pamqp import commands, header

from interlock.bus.rabbitmq.tap import frames

_FLAGS_AT = 12
_PROPERTIES_AT = 14
_FLAGS = struct.Struct(">H")
_SIZE = struct.Struct(">I")


class ArrivedContent:
    """Method, content header and body of a Basic.Deliver or Basic.Return.

    Of the header only what is asked for is decoded: the whole table costs as much as everything else about a message.
    """

    __slots__ = ("_content_type", "_header", "_reply_to", "_user_id", "_walked", "body", "method")

    def __init__(self, method: bytes) -> None:
        """`method` is the frame's content, from the class number on."""
        self.method = method
        self.body = b""
        self._header = b""
        self._walked = False
        self._content_type: str | None = None
        self._reply_to: str | None = None
        self._user_id: str | None = None

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
        return self.properties().message_id

    def properties(self) -> commands.Basic.Properties:
        """Return everything decoded; a few times dearer than the rest."""
        decoded = header.ContentHeader()
        decoded.unmarshal(self._header)
        assert decoded.properties is not None, "it was decoded just now"
        return decoded.properties

    def delivered(self) -> tuple[int, bool, str]:
        """Return a Basic.Deliver's tag, whether it was delivered before, and its routing key."""
        method = self.method
        at = 5 + method[4]
        tag = int.from_bytes(method[at : at + 8], "big")
        redelivered = bool(method[at + 8])
        at += 10 + method[at + 9]
        return tag, redelivered, method[at + 1 : at + 1 + method[at]].decode()

    def _walk(self) -> None:
        """Find the three properties that every message is judged by, stepping over the others."""
        data = self._header
        (flags,) = _FLAGS.unpack_from(data, _FLAGS_AT)
        at = _PROPERTIES_AT
        if flags & frames.CONTENT_TYPE:
            self._content_type, at = _short(data, at)
        if flags & frames.CONTENT_ENCODING:
            at += 1 + data[at]
        if flags & frames.HEADERS:
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
    return data[at + 1 : end].decode(), end
