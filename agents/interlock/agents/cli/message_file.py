"""Messages in files or on standard input, alone or one to a line; it sends nothing."""

from __future__ import annotations

__all__ = ["STANDARD_INPUT", "UnreadableFileError", "admitted", "bodies"]

import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO

from pydantic import TypeAdapter, ValidationError

from interlock.protocol.catalogue import Catalogue
from interlock.protocol.codec import decode_bare
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError, RejectionCode, UsageError
from interlock.protocol.message import Message
from interlock.protocol.strict_json import MAX_BYTES
from interlock.protocol.values import AgentName

STANDARD_INPUT = "-"


class UnreadableFileError(UsageError):
    """Raised when a file cannot be opened or read."""


def bodies(name: str, *, lines: bool = False) -> Generator[tuple[int | None, bytes]]:
    """Yield each message's bytes with the number of its line, None when the whole file is one message.

    `-` is standard input. A file whose name ends in `.jsonl` has one message to a line, others when `lines` is set;
    blank lines are passed over. Never more than a little over the largest message is held in memory: what is larger
    comes cut off, still too large. Raises UnreadableFileError.
    """
    try:
        with _opened(name) as stream:
            if lines or name.endswith(".jsonl"):
                yield from _numbered_lines(stream)
            else:
                yield None, stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "not a file name"
        raise UnreadableFileError(f"{name}: {reason}") from error


def admitted(body: bytes, *, now: datetime, catalogue: Catalogue, sender: str | None = None) -> Envelope[Message]:
    """Return the message, completed when it is in the specification's four-field form, from `sender` if given.

    Raises InvalidMessageError when it is wrong, or when the catalogue does not let its sender write to its receiver.
    """
    envelope = decode_bare(body, now=now, catalogue=catalogue)
    if sender is not None:
        envelope = envelope.model_copy(update={"sender": _agent_name(sender)})
    if not catalogue.allows(envelope.type, envelope.sender, envelope.receiver):
        raise InvalidMessageError(
            RejectionCode.NOT_ALLOWED,
            f"{envelope.sender} may not send {envelope.type} to {envelope.receiver}",
            path="type",
        )
    return envelope


def _agent_name(name: str) -> str:
    try:
        return TypeAdapter[str](AgentName).validate_python(name)
    except ValidationError as error:
        raise UsageError(f"'{name}' is no agent's name: lower-case words with hyphens, like backend-agent") from error


@contextmanager
def _opened(name: str) -> Generator[IO[bytes]]:
    if name == STANDARD_INPUT:
        yield sys.stdin.buffer
    else:
        with Path(name).open("rb") as file:
            yield file


def _numbered_lines(stream: IO[bytes]) -> Generator[tuple[int, bytes]]:
    number = 0
    while line := stream.readline(MAX_BYTES + 2):
        number += 1
        rest = line
        while len(rest) > MAX_BYTES and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_BYTES + 2)
        if body := line.removesuffix(b"\n").removesuffix(b"\r"):
            yield number, body
