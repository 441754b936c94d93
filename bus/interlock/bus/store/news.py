"""What a commit has brought that other processes with the same store may act on; it knows no channel."""

from __future__ import annotations

__all__ = ["News"]

from enum import Flag, auto


class News(Flag):
    """Whom to wake. Nothing is lost where a word is: everyone looks by themselves from time to time."""

    NOTHING = 0
    WORK = auto()
    """A message may be claimed, or something falls due earlier than it did."""
    OUTGOING = auto()
    """The outbox has something to publish."""
    VACANCY = auto()
    """Who published the outbox has left it."""
    ALL = WORK | OUTGOING | VACANCY
