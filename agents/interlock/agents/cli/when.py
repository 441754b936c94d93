"""Moments as people write them on a command line: a date and time, or how long ago; it knows no command."""

from __future__ import annotations

__all__ = ["moment"]

import re
from datetime import datetime, timedelta

from interlock.protocol.errors import UsageError

_AGO = re.compile(r"(?P<count>\d{1,6})(?P<unit>[smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str | None, *, now: datetime) -> datetime | None:
    """Return the moment that is meant: `90m` is that long ago, `2026-01-31T09:00` is local time unless it has a zone.

    Raises UsageError for anything else.
    """
    if text is None:
        return None
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago["unit"]]: int(ago["count"])})
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"'{text}' is no moment: write 30m, 2h or 7d for how long ago, or 2026-01-31T09:00") from error
