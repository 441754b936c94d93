"""What the emulated systems were made to do, as they themselves saw it: a witness to look at after faults.

Each write is one JSON line, on disk before the client has its answer. It knows no client and no agent, and takes
nothing from their tables.
"""

from __future__ import annotations

__all__ = ["Entry", "Journal", "Listener", "unheard"]

import json
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias

from interlock.bus.clock import Clock

Listener: TypeAlias = Callable[[str, str, str], None]
"""Hears of one write: action, what it was done to, and what it was, e.g. a status or a text."""


def unheard(_action: str, _subject: str, _detail: str) -> None:
    """Where nobody keeps a journal."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One write."""

    at: str
    """ISO 8601."""
    system: str
    """`jira`, `aws` or `chat`."""
    action: str
    subject: str
    detail: str


class Journal:
    """Appends to one file; emulators may write from several threads."""

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._file = path.open("ab")

    def __repr__(self) -> str:
        return f"Journal({self._file.name!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def of(self, system: str) -> Listener:
        """Return what this system is to tell its writes to; it returns when they are on disk."""

        def listen(action: str, subject: str, detail: str) -> None:
            entry = Entry(self._clock.now().isoformat(), system, action, subject, detail)
            line = json.dumps(asdict(entry), ensure_ascii=False).encode() + b"\n"
            with self._lock:
                self._file.write(line)
                self._file.flush()
                os.fsync(self._file.fileno())

        return listen

    @staticmethod
    def read(path: Path) -> tuple[Entry, ...]:
        """Return what was written so far, oldest first; a last line that was cut off is left out."""
        *lines, _ = path.read_bytes().split(b"\n")
        return tuple(Entry(**json.loads(line)) for line in lines)
