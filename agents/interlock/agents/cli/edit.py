"""A correction of a dead letter's payload: made in an editor, a file or by assignments, and shown as a difference."""

from __future__ import annotations

__all__ = ["Edit"]

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.agents.cli.editor import edited, kept
from interlock.agents.cli.letters import Found
from interlock.protocol.codec import decode
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.errors import InvalidMessageError, RejectionCode, UsageError
from interlock.protocol.strict_json import parse_object

_ELSEWHERE = frozenset({RejectionCode.UNKNOWN_TYPE, RejectionCode.UNKNOWN_VERSION})
"""What only the agent itself can judge: its catalogue may have more than what is installed here."""


@dataclass(frozen=True, slots=True)
class Edit:
    """A message before, and its payload after."""

    members: dict[str, Any]
    payload: str
    """As JSON."""
    version: int | None
    difference: str
    """Unified, of the payloads laid out for readers; empty when nothing changes."""
    written: str | None = None
    """What a person has written in an editor: it is nowhere else."""

    @classmethod
    def of(cls, item: Found, *, payload: Path | None, assignments: Sequence[str], version: int | None) -> Edit:
        """Take the new payload from the file, the assignments, or else from the person's editor.

        Raises UsageError when the letter is no message with a payload, or the new payload cannot be read.
        """
        members, before = _read(item)
        written = None
        if payload is not None and assignments:
            raise UsageError("give --payload or --set, not both")
        if payload is not None:
            after = _object(_file(payload), source=str(payload))
        elif assignments:
            after = json.loads(json.dumps(before))
            for assignment in assignments:
                _assign(after, assignment)
        else:
            written = edited(_pretty(before))
            try:
                after = _object(written.encode(), source="what the editor left")
            except UsageError as error:
                file = kept(written)
                raise UsageError(f"{error}; it is in {file}: correct it, and give it by --payload {file}") from error
        difference = "\n".join(
            difflib.unified_diff(
                _pretty(before).splitlines(), _pretty(after).splitlines(), "before", "after", lineterm=""
            )
        )
        if not difference and version not in {None, members.get("version")}:
            difference = f"-version {members.get('version')}\n+version {version}"
        return cls(members, json.dumps(after), version, difference, written)

    def check(self) -> None:
        """Raise InvalidMessageError when the catalogue that is installed here does not accept the result."""
        members = {**self.members, "payload": json.loads(self.payload)}
        if self.version is not None:
            members["version"] = self.version
        try:
            decode(json.dumps(members).encode(), catalogue=installed_catalogue())
        except InvalidMessageError as error:
            if error.code not in _ELSEWHERE:
                raise


def _read(item: Found) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        members = parse_object((item.letter.body or "").encode())
    except InvalidMessageError as error:
        raise UsageError(f"{item.address} is no message that could be edited ({error}): drop it") from error
    payload = members.get("payload")
    if not isinstance(payload, dict):
        raise UsageError(f"{item.address} has no payload that could be edited: drop it")
    return members, payload


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def _object(body: bytes, *, source: str) -> dict[str, Any]:
    try:
        return parse_object(body)
    except InvalidMessageError as error:
        raise UsageError(f"{source} is no JSON object: {error.reason}; nothing was done") from error


def _assign(payload: dict[str, Any], assignment: str) -> None:
    """Set one member: the value is JSON, or else text. Members that are missing on the way are an error."""
    path, equals, text = assignment.partition("=")
    *way, last = path.split(".")
    if not equals or not last:
        raise UsageError(f"--set {assignment}: write PATH=VALUE, like configuration.poolSize=20")
    target: Any = payload
    try:
        for name in way:
            target = target[int(name)] if isinstance(target, list) else target[name]
        if isinstance(target, list):
            target[int(last)] = _value(text)
        else:
            target[last] = _value(text)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise UsageError(f"--set {assignment}: the payload has nothing at {path}") from error


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _pretty(payload: dict[str, Any]) -> str:
    return json.dumps(payload, indent=2, ensure_ascii=False) + "\n"
