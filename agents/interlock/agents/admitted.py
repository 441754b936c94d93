"""Envelopes that this process has just taken in, until it works on them; after a crash they are read from the store."""

from __future__ import annotations

__all__ = ["AdmittedEnvelopes"]

from collections import OrderedDict

from interlock.bus.store.records import InboxMessage
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message

_KEPT = 1024
_LARGEST = 16 * 1024
"""Bytes of a body: a larger one is decoded twice rather than kept, so that all together stay small."""


class AdmittedEnvelopes:
    """Spares a second decoding of what was decoded at the door; the oldest are forgotten first."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[bytes, Envelope[Message]]] = OrderedDict()

    def __repr__(self) -> str:
        return f"AdmittedEnvelopes({len(self._kept)})"

    def bodies(self) -> tuple[bytes, ...]:
        """Return the bytes whose meaning is kept."""
        return tuple(body for body, _ in self._kept.values())

    def keep(self, body: bytes, envelope: Envelope[Message]) -> None:
        """Remember what these bytes say."""
        if len(body) > _LARGEST:
            return
        self._kept[envelope.id] = (body, envelope)
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)

    def take(self, message: InboxMessage) -> Envelope[Message] | None:
        """Return, once, what the inbox's row says, if that was decoded here: an id alone would not prove it."""
        body, envelope = self._kept.pop(message.message_id, (None, None))
        return envelope if body == message.body else None
