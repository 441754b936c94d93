"""What a hot channel is told, put together from its frames; it knows neither the socket nor the other channels."""

from __future__ import annotations

__all__ = ["Assembly", "HotReceiver"]

from typing import Protocol

from pamqp import commands
from pamqp import frame as pamqp_frame

from interlock.bus.rabbitmq.tap import frames
from interlock.bus.rabbitmq.tap.arrived import ArrivedContent
from interlock.bus.rabbitmq.tap.frames import BODY, FRAME, HEADER, METHOD


class HotReceiver(Protocol):
    """A channel whose frames are handled here."""

    def content(self, arrived: ArrivedContent) -> None:
        """Take a complete Basic.Deliver or Basic.Return."""
        ...

    def confirmed(self, tag: int, *, multiple: bool, stored: bool) -> None:
        """Take a Basic.Ack or Basic.Nack."""
        ...

    def cancelled(self) -> None:
        """Take note that the broker has ended the subscription; aiormq takes note as well."""
        ...

    def closed(self, code: int, reason: str) -> None:
        """Take note that the broker, or with code 0 we, have closed the channel; aiormq takes note as well."""
        ...

    def lost(self) -> None:
        """Take note that the connection is gone."""
        ...

    def write_settles(self) -> None:
        """Hand over the acknowledgements that wait for the end of this turn."""
        ...


class Assembly:
    """A hot channel with the content that is arriving on it."""

    __slots__ = ("_content", "_missing", "_pieces", "is_over", "receiver")

    def __init__(self, receiver: HotReceiver) -> None:
        self.receiver = receiver
        self.is_over = False
        """Whether the channel was closed: what follows under its number is somebody else's."""
        self._content: ArrivedContent | None = None
        self._missing = 0
        self._pieces: list[bytes] = []

    def take(self, kind: int, data: bytes, start: int, end: int) -> bool:
        """Handle the frame of this kind whose content is `data[start:end]`.

        False leaves it to aiormq; the receiver may have been told as well.
        """
        if kind == METHOD:
            method = int.from_bytes(data[start : start + 4], "big")
            if method == frames.DELIVER or method == frames.RETURN:
                self._content = ArrivedContent(data[start:end])
            elif method == frames.ACK or method == frames.NACK:
                tag, flags = int.from_bytes(data[start + 4 : start + 12], "big"), data[start + 12]
                self.receiver.confirmed(tag, multiple=bool(flags & 1), stored=method == frames.ACK)
            else:
                self._tell(method, data[start - FRAME.size : end + 1])
                return False
            return True
        content = self._content
        if content is None:
            return False
        if kind == HEADER:
            self._missing = content.begin(data[start:end])
        elif kind == BODY:
            self._add(content, data[start:end])
        else:
            return False
        if self._missing <= 0:
            self._content = None
            self.receiver.content(content)
        return True

    def _add(self, content: ArrivedContent, piece: bytes) -> None:
        self._missing -= len(piece)
        if self._missing > 0:
            self._pieces.append(piece)
        elif self._pieces:
            content.body = b"".join((*self._pieces, piece))
            self._pieces.clear()
        else:
            content.body = piece

    def _tell(self, method: int, frame: bytes) -> None:
        """Tell the receiver of what concerns the channel's life."""
        if method == frames.CHANNEL_CLOSE:
            closing = pamqp_frame.unmarshal(frame)[2]
            assert isinstance(closing, commands.Channel.Close)
            self.is_over = True
            self.receiver.closed(closing.reply_code or 0, closing.reply_text)
        elif method == frames.CHANNEL_CLOSE_OK:
            self.is_over = True
            self.receiver.closed(0, "")
        elif method == frames.CANCEL:
            self.receiver.cancelled()
