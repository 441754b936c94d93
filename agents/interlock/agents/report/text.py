"""Text that is safe to show: without characters that steer a terminal or hide what stands there; it knows no output.

Tickets and messages are written by others. Whoever shows them shows `visible` text, escaped for where it goes.
"""

from __future__ import annotations

__all__ = ["clock_offset", "counted", "duration", "line", "shortened", "visible"]

import unicodedata

_STEERING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode categories of controls, bidirectional and zero-width formats, lone surrogates and line separators."""


def visible(text: str) -> str:
    """Return the text without control and format characters; line feeds and tabs stay."""
    return "".join(
        character
        for character in text.replace("\r\n", "\n")
        if character in "\n\t" or unicodedata.category(character) not in _STEERING
    )


def line(text: str) -> str:
    """Return the visible text on one line: every run of white space becomes one space."""
    return " ".join(visible(text).split())


def shortened(text: str, room: int) -> str:
    """Return as much of one line as fits into `room` columns, with an ellipsis where it was cut.

    Wide characters, as in Korean, take two columns (Unicode Standard Annex 11).
    """
    taken = 0
    for index, character in enumerate(text):
        taken += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if taken > room:
            return text[: max(index - 1, 0)].rstrip() + "…"
    return text


def counted(count: int, noun: str) -> str:
    """Return a number with its regular noun: `1 message`, `2 messages`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def duration(seconds: float) -> str:
    """Return seconds as people say them: `0.84 s`, `12.3 s`, `2 min 05 s`, `1 h 02 min`."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def clock_offset(seconds: float) -> str:
    """Return seconds since the beginning as `+0.84`, `+1:02.30` from a minute on."""
    if seconds < 60:
        return f"{seconds:+.2f}"
    minutes, rest = divmod(seconds, 60)
    return f"+{int(minutes)}:{rest:05.2f}"
