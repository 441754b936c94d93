"""Words of people and machines inside Jira wiki markup; it knows no ticket."""

from __future__ import annotations

__all__ = ["plain"]


def plain(text: str) -> str:
    """Take the meaning from Jira's markup: macros, links, mentions, headings and tables."""
    return "".join(f"\\{character}" if character in "{}[]|*_~^!#" else character for character in text)
