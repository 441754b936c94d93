"""Writes a file that only its owner may read, whole or not at all; it knows no content."""

from __future__ import annotations

__all__ = ["write_private"]

from pathlib import Path

from interlock.protocol.errors import UsageError


def write_private(file: Path, text: str) -> None:
    """Replace the file by this text with mode 0600. Raises UsageError when it cannot be written."""
    draft = file.with_name(f".{file.name}.draft")
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        raise UsageError(f"{file} cannot be written: {error.strerror}; name another file") from error
