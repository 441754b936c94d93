"""Words of people and machines inside Jira wiki markup; it knows no ticket."""

from __future__ import annotations

__all__ = ["plain"]

_ESCAPES = {character: f"\\{character}" for character in "{}[]|*_~^!#"} | {"\\": "&#92;"}


def plain(text: str) -> str:
    """Return the text on one line, without a meaning in Jira's markup: macros, links, mentions, headings and tables.

    Headings, lists and rules begin a line: put the result after words of your own. A backslash becomes a character
    reference, since doubled it would be a line break that leaves the next character its meaning.
    """
    line = " ".join(text.split())
    return "".join(_ESCAPES.get(character, character) for character in line)
