"""A person's own editor on a piece of text; it knows nothing of what the text means."""

from __future__ import annotations

__all__ = ["edited", "kept"]

import os
import shlex
import subprocess
import tempfile
from pathlib import Path

from interlock.protocol.errors import UsageError


def edited(text: str) -> str:
    """Return what the person has made of the text in $VISUAL, $EDITOR or vi.

    The file is readable for its owner only, and gone afterwards. Raises UsageError when the editor cannot be started,
    or ends with another code than 0.
    """
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="interlock-") as directory:
        file = Path(directory) / "payload.json"
        file.write_text(text, encoding="utf-8")
        try:
            code = subprocess.run([*shlex.split(command), str(file)], check=False).returncode
        except (OSError, ValueError) as error:
            raise UsageError(f"the editor '{command}' cannot be started: set EDITOR, or give --payload") from error
        if code:
            raise UsageError(f"the editor '{command}' ended with {code}: nothing was done")
        return file.read_text(encoding="utf-8")


def kept(text: str) -> Path:
    """Leave the text in a temporary file that only its owner may read, and return where it is."""
    descriptor, name = tempfile.mkstemp(prefix="interlock-", suffix=".json")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    return Path(name)
