"""Moments as the database keeps them: integer microseconds since 1970 in UTC, exact in both directions."""

from __future__ import annotations

__all__ = ["from_micros", "to_micros"]

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Return microseconds since the epoch; `moment` must be aware."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """Return the moment in UTC."""
    return _EPOCH + micros * _MICROSECOND
