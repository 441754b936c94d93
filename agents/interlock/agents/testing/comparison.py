"""Two messages beside one another: what one says and the other does not, member by member; it replays nothing."""

from __future__ import annotations

__all__ = ["Comparison", "members"]

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from difflib import SequenceMatcher
from typing import Any

from pydantic_core import to_json

from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope

_REFERENCE = re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b|sha256:[0-9a-f]{64}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})")
_TRAVEL = frozenset({"id", "sentAt", "causationId", "hops", "traceparent"})
"""Members that tell when and how a message travelled; what caused it is compared by where it stands."""

_TOLERANCE = 2.0
"""Seconds by which moments may differ, each seen from when its message was sent."""

_LONGEST = 400
"""Characters of one value that a difference shows."""


class Comparison:
    """Compares what was recorded with what is said now, over a whole conversation.

    Ids and digests that an agent makes itself differ from run to run: each recorded one is taken for the one that now
    stands in its place. Moments are compared by their distance from the moment of sending.
    """

    def __init__(self, *, ignoring: Collection[str] = ()) -> None:
        """`ignoring` are paths of members that may differ, like `payload.configVersion`; what is below them as well."""
        self._ignored = tuple(ignoring)
        self._now: dict[str, str] = {}
        self._recorded: dict[str, str] = {}

    def identify(self, recorded: Envelope[Any], said: Envelope[Any]) -> None:
        """Learn which ids and digests of a recorded message are which of the one that is said in its place."""
        old, new = (_REFERENCE.findall(encode(envelope).decode()) for envelope in (recorded, said))
        if len(old) != len(new):
            old, new = [recorded.id], [said.id]
        for before, after in zip(old, new, strict=True):
            if before != after and _kind(before) == _kind(after):
                self._now.setdefault(before, after)
                self._recorded.setdefault(after, before)

    def as_now(self, body: bytes) -> bytes:
        """Return an encoded recorded message with today's ids and digests in it."""
        return _REFERENCE.sub(lambda found: self._now.get(found[0], found[0]), body.decode()).encode()

    def as_recorded(self, body: bytes) -> bytes:
        """Return an encoded message of today with the recorded ids and digests in it."""
        return _REFERENCE.sub(lambda found: self._recorded.get(found[0], found[0]), body.decode()).encode()

    def difference(self, recorded: Envelope[Any], said: Envelope[Any]) -> tuple[str, ...]:
        """Return the lines that tell what differs, `-` for recorded and `+` for said now; none when nothing does."""
        before, after = members(recorded), self._translated(said)
        lines: list[str] = []
        for path in sorted({*before, *after}, key=_natural):
            if self._is_ignored(path):
                continue
            old, new = before.get(path), after.get(path)
            if old == new or _same_distance(old, new, recorded.sent_at, said.sent_at):
                continue
            lines += [f"- {path}: {_shown(old)}"] if old is not None else []
            lines += [f"+ {path}: {_shown(new)}"] if new is not None else []
        return tuple(lines)

    def _translated(self, said: Envelope[Any]) -> Mapping[str, str]:
        return {
            path: _REFERENCE.sub(lambda found: self._recorded.get(found[0], found[0]), value)
            for path, value in members(said).items()
        }

    def _is_ignored(self, path: str) -> bool:
        plain = re.sub(r"\[\d+\]", "", path)
        return any(
            candidate == ignored or candidate.startswith((f"{ignored}.", f"{ignored}["))
            for ignored in self._ignored
            for candidate in (path, plain)
        )


def members(envelope: Envelope[Any]) -> Mapping[str, str]:
    """Return what a message says as one line of JSON per member, by its path, like `payload.checks[0].verdict`."""
    spoken = envelope.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dict(_flat("", {name: value for name, value in spoken.items() if name not in _TRAVEL}))


def alignment(recorded: list[Any], said: list[Any]) -> Iterator[tuple[int | None, int | None]]:
    """Return which of two lists' places belong together, by equal keys, the rest in order."""
    for tag, start, end, other_start, other_end in SequenceMatcher(None, recorded, said, autojunk=False).get_opcodes():
        if tag == "equal":
            yield from zip(range(start, end), range(other_start, other_end), strict=True)
            continue
        yield from ((place, None) for place in range(start, end))
        yield from ((None, place) for place in range(other_start, other_end))


def _flat(path: str, value: Any) -> Iterator[tuple[str, str]]:
    match value:
        case dict() if value:
            for name, member in value.items():
                yield from _flat(f"{path}.{name}" if path else str(name), member)
        case list() if value:
            for place, member in enumerate(value):
                yield from _flat(f"{path}[{place}]", member)
        case _:
            yield path, to_json(value).decode()


def _kind(reference: str) -> int:
    return len(reference)


def _natural(path: str) -> tuple[tuple[str, int], ...]:
    """Order `checks[10]` behind `checks[9]`."""
    return tuple((word, int(number or 0)) for word, number in re.findall(r"([^\[\]]+)(?:\[(\d+)\])?", path))


def _same_distance(old: str | None, new: str | None, old_origin: datetime, new_origin: datetime) -> bool:
    if old is None or new is None:
        return False
    before, after = _MOMENT.findall(old), _MOMENT.findall(new)
    if not before or len(before) != len(after) or _MOMENT.sub("", old) != _MOMENT.sub("", new):
        return False
    return all(
        abs(_distance(one, old_origin) - _distance(other, new_origin)) <= _TOLERANCE
        for one, other in zip(before, after, strict=True)
    )


def _distance(moment: str, origin: datetime) -> float:
    return (datetime.fromisoformat(moment) - origin).total_seconds()


def _shown(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[:_LONGEST]}… ({len(value)} characters)"
