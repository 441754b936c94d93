"""How long something took, counted per kind of message; it is read by whoever reports it, and reports nothing itself.

An instrument of OpenTelemetry's SDK takes 7 to 8 microseconds for a number; counting it here takes less than one, and
nothing is allocated once a kind of message has been met.
"""

from __future__ import annotations

__all__ = ["BOUNDS", "Counts", "Durations", "Kind", "Tally"]

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf

from interlock.bus.clock import Clock

BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds of the buckets in seconds, which OpenTelemetry's conventions ask for; the last bucket has none."""

Kind = tuple[str, str | None]
"""A message's type, and the kind of error where there was one."""


@dataclass(slots=True)
class Tally:
    """What was counted under one set of attributes since a moment."""

    attributes: Mapping[str, str]
    since: datetime
    buckets: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0
    """Seconds."""
    least: float = inf
    most: float = -inf

    @property
    def count(self) -> int:
        """How many there were."""
        return sum(self.buckets)


class Durations:
    """One histogram. It is counted in the event loop, and may be read from any thread."""

    def __init__(self, name: str, description: str, *, fixed: Mapping[str, str], clock: Clock) -> None:
        """`fixed` are attributes of all that is counted."""
        self.name = name
        self.description = description
        self._fixed = fixed
        self._clock = clock
        self._tallies: dict[Kind, Tally] = {}

    def __repr__(self) -> str:
        return f"Durations({self.name!r}, kinds={len(self._tallies)})"

    def record(self, type: str, seconds: float, error: str | None) -> None:  # noqa: A002 - the wire's word
        """Count one."""
        tally = self._tallies.get((type, error))
        if tally is None:
            tally = Tally(_attributes(self._fixed, type, error), self._clock.now())
            self._tallies[type, error] = tally
        tally.buckets[bisect_left(BOUNDS, seconds)] += 1
        tally.total += seconds
        if seconds < tally.least:
            tally.least = seconds
        if seconds > tally.most:
            tally.most = seconds

    def read(self, *, anew: bool = False) -> Mapping[Kind, Tally]:
        """Return what was counted since the start, as it is at this moment; least and most since the last `anew`."""
        found: dict[Kind, Tally] = {}
        for kind, tally in list(self._tallies.items()):
            found[kind] = replace(tally, buckets=tally.buckets.copy())
            if anew:
                tally.least, tally.most = inf, -inf
        return found


class Counts:
    """One counter, which is counted and read likewise."""

    def __init__(self, *, fixed: Mapping[str, str]) -> None:
        self._fixed = fixed
        self._numbers: dict[Kind, int] = {}
        self._attributes: dict[Kind, Mapping[str, str]] = {}

    def add(self, type: str, error: str | None) -> None:  # noqa: A002 - the wire's word
        """Count one."""
        kind = type, error
        number = self._numbers.get(kind, 0)
        if not number:
            self._attributes[kind] = _attributes(self._fixed, type, error)
        self._numbers[kind] = number + 1

    def read(self) -> Sequence[tuple[int, Mapping[str, str]]]:
        """Return the numbers since the start, with their attributes."""
        return [(number, self._attributes[kind]) for kind, number in list(self._numbers.items())]


def _attributes(fixed: Mapping[str, str], type: str, error: str | None) -> Mapping[str, str]:  # noqa: A002 - as above
    return {**fixed, "interlock.message.type": type, **({"error.type": error} if error else {})}
