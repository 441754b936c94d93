"""How many publishes may wait for their confirms; whoever finds no room waits for a turn. It knows no messages."""

from __future__ import annotations

__all__ = ["Window"]

import asyncio
from collections import deque

import anyio

from interlock.bus.clock import Clock


class Window:
    """A number of places, given out in the order in which they were asked for."""

    def __init__(self, size: int, *, clock: Clock) -> None:
        self._free = size
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._moved_at = clock.monotonic()

    def __repr__(self) -> str:
        return f"Window(free={self._free}, waiting={len(self._waiting)})"

    def enter_at_once(self) -> bool:
        """Take a place, if one is free."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def enter(self, *, patience: float) -> bool:
        """Take a place; False when the queue has not moved for `patience` seconds, and none was taken.

        However long the queue is, whoever stands in it waits as long as it moves.
        """
        if self.enter_at_once():
            return True
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        began = self._clock.monotonic()
        try:
            while not turn.done():
                left = max(began, self._moved_at) + patience - self._clock.monotonic()
                if left <= 0:
                    break
                with anyio.move_on_after(left):
                    await asyncio.wait([turn])
        except BaseException:
            self._give_up(turn)
            raise
        if turn.done():
            return True
        self._give_up(turn)
        return False

    def leave(self, *, moves: bool = True) -> None:
        """Give the place to whoever has waited longest.

        Without `moves` it was left in vain, and the others' patience does not begin anew.
        """
        if moves and self._waiting:  # whoever comes later counts from when it came
            self._moved_at = self._clock.monotonic()
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        if turn.done():  # the place was given to somebody who was cancelled in the same moment
            self.leave(moves=False)
        else:
            turn.cancel()
