"""A conversation as JSON lines, to be kept, replayed and compared; it neither opens files nor sends anything.

One line is one envelope, with sender, receiver, type and payload first, and nothing else stands in a recording: any
tool for JSON lines reads it, and people edit it line by line. Blank lines are passed over.
"""

from __future__ import annotations

__all__ = ["chronological", "normalised", "read", "write"]

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from interlock.protocol.catalogue import CATALOGUE, Catalogue
from interlock.protocol.codec import decode, encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError
from interlock.protocol.message import Message

EnvelopeT = TypeVar("EnvelopeT", bound=Envelope[Any])

_TRACING = frozenset({"hops", "traceparent"})
"""Members that tell how a message travelled, not what was said."""

_CHANGING = re.compile(
    r"(?P<digest>sha256:[0-9a-f]{64})"
    r"|(?P<id>\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b)"
    r"|(?P<time>\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]+)?)?(?:Z|[+-][0-9]{2}:?[0-9]{2}))"
)


def write(envelopes: Iterable[Envelope[Any]]) -> bytes:
    """Return one line of JSON per envelope, in the given order.

    Raises InvalidMessageError when an envelope is larger than a receiver would accept.
    """
    return b"".join(encode(envelope) + b"\n" for envelope in envelopes)


def read(recording: bytes, *, catalogue: Catalogue = CATALOGUE) -> tuple[Envelope[Message], ...]:
    """Return the envelopes of a recording, in its order, each in the version that it was recorded in.

    Raises InvalidMessageError for the first line that is not a complete message; its path begins with the line's
    number, counted from 1.
    """
    return tuple(_decoded(recording, catalogue))


def _decoded(recording: bytes, catalogue: Catalogue) -> Iterator[Envelope[Message]]:
    for number, line in enumerate(recording.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            yield decode(line, catalogue=catalogue, upcast=False)
        except InvalidMessageError as error:
            path = f"line {number}" + (f", {error.path}" if error.path else "")
            raise InvalidMessageError(error.code, error.reason, path=path) from error


def chronological(envelopes: Iterable[EnvelopeT]) -> tuple[EnvelopeT, ...]:
    """Return each message once, in the order of sending, but never before the message that caused it.

    What was sent at the same moment keeps the given order. The order of cause and effect holds even where the senders'
    clocks disagree.
    """
    once = {envelope.id: envelope for envelope in envelopes}
    placed: dict[str, EnvelopeT] = {}
    for envelope in sorted(once.values(), key=lambda envelope: envelope.sent_at):
        chain: dict[str, EnvelopeT] = {}
        link: EnvelopeT | None = envelope
        while link is not None and link.id not in placed and link.id not in chain:
            chain[link.id] = link
            link = once.get(link.causation_id or "")
        placed |= reversed(chain.items())
    return tuple(placed.values())


def normalised(
    envelopes: Iterable[Envelope[Any]], *, volatile: Mapping[str | int, str] | None = None
) -> tuple[dict[str, Any], ...]:
    """Return the messages as JSON values in which what differs from run to run is replaced by placeholders.

    Ids and digests are numbered in the order in which they appear (`<id 1>`, `<digest 1>`), so that messages that
    share one still share it; every moment becomes `<time>`, and what only tells how a message travelled is left out.
    `volatile` maps further values to their placeholders, e.g. a port or an address that the run was given: a text is
    replaced wherever it occurs in a string, a number where it is the whole value.

    Two runs compare equal when they say the same in the same order.
    """
    placeholders = _Placeholders(volatile or {})
    return tuple(placeholders.replace(_spoken(envelope)) for envelope in envelopes)


def _spoken(envelope: Envelope[Any]) -> dict[str, Any]:
    return envelope.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=set(_TRACING))


class _Placeholders:
    """What each changing value is called, over a whole conversation."""

    def __init__(self, volatile: Mapping[str | int, str]) -> None:
        texts = sorted((text for text in volatile if isinstance(text, str)), key=len, reverse=True)
        self._volatile = volatile
        self._volatile_text = re.compile("|".join(map(re.escape, texts))) if texts else None
        self._names: dict[str, dict[str, str]] = {"id": {}, "digest": {}}

    def replace(self, value: Any) -> Any:
        """Return the same JSON value with placeholders in it."""
        match value:
            case dict():
                return {self.replace(name): self.replace(member) for name, member in value.items()}
            case list():
                return [self.replace(member) for member in value]
            case str():
                return self._text(value)
            case int() if not isinstance(value, bool):
                return self._volatile.get(value, value)
            case _:
                return value

    def _text(self, text: str) -> str:
        if self._volatile_text is not None:
            text = self._volatile_text.sub(lambda found: self._volatile[found[0]], text)
        return _CHANGING.sub(self._named, text)

    def _named(self, found: re.Match[str]) -> str:
        kind = found.lastgroup
        if kind is None or kind not in self._names:
            return "<time>"
        names = self._names[kind]
        return names.setdefault(found[0], f"<{kind} {len(names) + 1}>")
