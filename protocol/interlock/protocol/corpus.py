"""Recorded messages as proof: each must still be read, and be allowed; it opens no files."""

from __future__ import annotations

__all__ = ["Unreadable", "broken_by", "unreadable"]

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from interlock.protocol.catalogue import Catalogue
from interlock.protocol.codec import decode
from interlock.protocol.compatibility import Change, Direction
from interlock.protocol.errors import InvalidMessageError, RejectionCode
from interlock.protocol.strict_json import parse_object

_INDEX = re.compile(r"\[\d+\]")
_CATALOGUE_PATHS = {"type": "type", "version": "version", "route": "route"}
_UNKNOWN = {RejectionCode.UNKNOWN_TYPE, RejectionCode.UNKNOWN_VERSION}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """One recorded message that the catalogue does not take in any more."""

    file: str
    line: int
    """From 1."""
    type: str
    version: int
    path: str
    reason: str
    conversation_id: str
    subject: str
    """What people call the conversation: its Jira issue, or nothing."""

    def __str__(self) -> str:
        about = f" ({self.subject})" if self.subject else ""
        return (
            f"{self.file}:{self.line}: {self.type or 'message'} version {self.version}, {self.path}: {self.reason}; "
            f"conversation {self.conversation_id or 'unknown'}{about}"
        )


def unreadable(file: str, recording: bytes, *, catalogue: Catalogue) -> tuple[Unreadable, ...]:
    """Return the lines of a recording that the catalogue does not read, or does not let travel as they did."""
    return tuple(_failures(file, recording, catalogue))


def broken_by(change: Change, failures: tuple[Unreadable, ...]) -> tuple[Unreadable, ...]:
    """Return which of these failures a change explains."""
    if Direction.BACKWARD not in change.breaks:
        return ()
    return tuple(failure for failure in failures if _explains(change, failure))


def _failures(file: str, recording: bytes, catalogue: Catalogue) -> Iterator[Unreadable]:
    for number, line in enumerate(recording.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            envelope = decode(line, catalogue=catalogue)
            if not catalogue.allows(envelope.type, envelope.sender, envelope.receiver):
                reason = f"{envelope.sender} may not send it to {envelope.receiver}"
                raise InvalidMessageError(RejectionCode.NOT_ALLOWED, reason, path="route")
        except InvalidMessageError as error:
            yield _failure(file, number, line, error)


def _failure(file: str, number: int, line: bytes, error: InvalidMessageError) -> Unreadable:
    try:
        members = parse_object(line)
    except InvalidMessageError:
        members = {}
    payload, version = members.get("payload"), members.get("version")
    return Unreadable(
        file=file,
        line=number,
        type=_text(members.get("type")),
        version=version if type(version) is int else 0,
        path=error.path or "message",
        reason=error.reason,
        conversation_id=_text(members.get("conversationId")),
        subject=_text(payload.get("jiraIssue")) if isinstance(payload, dict) else "",
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _explains(change: Change, failure: Unreadable) -> bool:
    if (change.type, change.version) != (failure.type, failure.version):
        return False
    if change.path in _CATALOGUE_PATHS or failure.path in _CATALOGUE_PATHS:
        return change.path == failure.path or {change.path, failure.path} == {"type", "version"}
    place = _INDEX.sub("[]", failure.path)
    return any(_lies_at(place, path) for path in (change.path, change.moved_to) if path)


def _lies_at(place: str, path: str) -> bool:
    """Return whether an error's place is this path or below it; `*` in the path is any name."""
    pattern = re.escape(path).replace(r"\*", r"[^.\[]+")
    return re.match(rf"{pattern}(?=$|[.\[])", place) is not None
