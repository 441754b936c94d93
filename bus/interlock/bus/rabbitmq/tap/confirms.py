"""Publishes that wait for the broker's word; it knows their numbers and verdicts, not what they carry."""

from __future__ import annotations

__all__ = ["Confirms"]

import asyncio
import math
from typing import TypeAlias

from interlock.bus.rabbitmq.verdict import LOST, REFUSED, SILENT, STORED, Outcome

_Waiting: TypeAlias = tuple["asyncio.Future[Outcome]", str, float]
_SHORTEST_LOOK = 0.05
"""Seconds between looks at what is overdue: a deadline is kept that precisely."""


class Confirms:
    """One channel's unconfirmed publishes, by their numbers from 1 on.

    Every future that was given out gets an outcome: from the broker, from the channel's end, or from its deadline,
    which one timer keeps for all.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._last = 0
        self._oldest = 1
        self._waiting: dict[int, _Waiting] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._look = math.inf
        """When the timer goes off."""

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, message_id: str, *, within: float) -> asyncio.Future[Outcome]:
        """Return what the next publish's outcome will be; after `within` seconds that is silence."""
        due = self._loop.time() + within
        future: asyncio.Future[Outcome] = self._loop.create_future()
        self._last += 1
        self._waiting[self._last] = (future, message_id, due)
        if due < self._look:
            self._look_at(due)
        return future

    def confirm(self, tag: int, *, multiple: bool, stored: bool) -> None:
        """Take the broker's Ack or Nack."""
        outcome = STORED if stored else REFUSED
        if not multiple:
            self._settle(tag, outcome)
            if tag == self._oldest:  # else a word for many would go through all that were settled one by one
                self._oldest += 1
            return
        for each in range(self._oldest, tag + 1):
            self._settle(each, outcome)
        self._oldest = max(self._oldest, tag + 1)

    def returned(self, message_id: str | None, outcome: Outcome) -> None:
        """Take a Return, which comes before the same publish's Ack."""
        for future, waiting_id, _ in self._waiting.values():
            if waiting_id == message_id:
                if not future.done():
                    future.set_result(outcome)
                return

    def end(self, outcome: Outcome = LOST) -> None:
        """Give everything that waits this outcome: nothing will be confirmed any more."""
        waiting, self._waiting = self._waiting, {}
        self._look_no_more()
        for future, _, _ in waiting.values():
            if not future.done():
                future.set_result(outcome)

    def _settle(self, tag: int, outcome: Outcome) -> None:
        waiting = self._waiting.pop(tag, None)
        if waiting is not None and not waiting[0].done():  # else returned, overdue, or its awaiter was cancelled
            waiting[0].set_result(outcome)

    def _look_at(self, due: float) -> None:
        """Look then, or a little later; a look that comes earlier is never put off."""
        when = max(due, self._loop.time() + _SHORTEST_LOOK)
        if when < self._look:
            self._look_no_more()
            self._look = when
            self._timer = self._loop.call_at(when, self._expire)

    def _look_no_more(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._look = math.inf

    def _expire(self) -> None:
        """Give up on what is overdue. It keeps its number: its confirm may still come, and means nothing then."""
        self._look_no_more()
        now = self._loop.time()
        left = [due for future, _, due in self._waiting.values() if due > now and not future.done()]
        for future, _, due in self._waiting.values():
            if due <= now and not future.done():
                future.set_result(SILENT)
        if left:
            self._look_at(min(left))
