"""Writes a file that only its owner may read, whole or not at all; it knows no content."""

from __future__ import annotations

__all__ = ["require_writable", "write_private"]

from pathlib import Path

from interlock.protocol.errors import UsageError


def require_writable(file: Path) -> None:
    """Raise UsageError when a file could not be written there: better now than after what it is to tell of."""
    draft = _draft(file)
    try:
        if file.is_dir():
            raise UsageError(f"{file} cannot be written: it is a folder; name another file")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.unlink()
    except OSError as error:
        raise _unwritable(file, error) from error


def write_private(file: Path, text: str) -> None:
    """Replace the file by this text with mode 0600. Raises UsageError when it cannot be written."""
    draft = _draft(file)
    try:
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        raise _unwritable(file, error) from error


def _draft(file: Path) -> Path:
    return file.parent / f".{file.name}.draft"


def _unwritable(file: Path, error: OSError) -> UsageError:
    return UsageError(f"{file} cannot be written: {error.strerror}; name another file")
