"""Many moments, one task that sleeps: rings whoever is due; it knows a clock, and nothing about requests."""

from __future__ import annotations

__all__ = ["Alarm", "Alarms"]

import asyncio
import heapq
import itertools
from collections.abc import Callable

from interlock.bus.clock import Clock

_FEW = 64
"""Entries that are not worth clearing away."""


class Alarm:
    """One call at a moment of the clock's monotonic time, unless it is cancelled before."""

    __slots__ = ("_alarms", "ring")

    def __init__(self, alarms: Alarms, ring: Callable[[], None]) -> None:
        self._alarms = alarms
        self.ring: Callable[[], None] | None = ring

    def cancel(self) -> None:
        """Do not ring. Idempotent, also after it has rung."""
        if self.ring is not None:
            self.ring = None
            self._alarms.forget_one()


class Alarms:
    """The alarms of one owner, who must `stop` them; the task that sleeps begins with the first of them."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[tuple[float, int, Alarm]] = []
        self._order = itertools.count()
        self._cancelled = 0
        self._sleeper: asyncio.Task[None] | None = None
        self._wakes = float("inf")

    def __repr__(self) -> str:
        return f"Alarms(waiting={len(self._waiting) - self._cancelled})"

    @property
    def entries(self) -> int:
        """How many are kept, with those that were cancelled and not yet cleared away."""
        return len(self._waiting)

    def set(self, moment: float, ring: Callable[[], None]) -> Alarm:
        """Call `ring` once the clock's monotonic time has reached the moment; it must neither raise nor set another."""
        alarm = Alarm(self, ring)
        heapq.heappush(self._waiting, (moment, next(self._order), alarm))
        if moment < self._wakes or self._sleeper is None:
            self._sleep_anew(moment)
        return alarm

    def forget_one(self) -> None:
        """Count an alarm that was cancelled; once most are, they are cleared away, so that memory stays flat."""
        self._cancelled += 1
        if self._cancelled > _FEW and self._cancelled * 2 > len(self._waiting):
            self._waiting = [entry for entry in self._waiting if entry[2].ring is not None]
            heapq.heapify(self._waiting)
            self._cancelled = 0

    def stop(self) -> None:
        """Forget all of them and end the task. Idempotent; alarms may be set again."""
        for _, _, alarm in self._waiting:
            alarm.ring = None
        self._waiting.clear()
        self._cancelled = 0
        self._wakes = float("inf")
        if self._sleeper is not None:
            self._sleeper.cancel()
            self._sleeper = None

    def _sleep_anew(self, moment: float) -> None:
        if self._sleeper is not None:
            self._sleeper.cancel()
        self._wakes = moment
        self._sleeper = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            self._wakes = self._waiting[0][0]
            left = self._wakes - self._clock.monotonic()
            if left > 0:
                await self._clock.sleep(left)
            self._ring_due()
        self._wakes = float("inf")
        self._sleeper = None

    def _ring_due(self) -> None:
        now = self._clock.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            alarm = heapq.heappop(self._waiting)[2]
            if alarm.ring is None:
                self._cancelled -= 1
            else:
                ring, alarm.ring = alarm.ring, None
                ring()
