"""Text as every database can keep it; what it says is somebody else's."""

from __future__ import annotations

__all__ = ["storable"]


def storable(text: str) -> str:
    """Return the text with half characters and NUL escaped: SQLite refuses the former, PostgreSQL both.

    Errors of libraries quote what peers have sent, and an error must never be what cannot be recorded.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\x00", "\\x00")
