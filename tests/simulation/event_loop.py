"""An event loop without a clock, a thread or a socket: time is what the next timer says, and a process can die in it.

The order of what is ready is asyncio's own, first in, first out; a run differs from another only by when answers come.
It knows neither agents nor brokers.
"""

from __future__ import annotations

__all__ = ["LIFE", "Life", "StuckError", "VirtualLoop", "deterministic"]

import asyncio
import contextvars
import heapq
import itertools
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any

from anyio._backends import _asyncio as backend


class StuckError(Exception):
    """Raised when nothing is ready and no timer is set: everyone waits for everyone, for ever."""


class Life:
    """One process of an agent, from its start to its death; whatever it has started carries it in its context."""

    def __init__(self, name: str, *, dies_at: int | None, dies: Callable[[Life], None]) -> None:
        """`dies_at` counts the steps of its tasks; `dies` is called in the place of that step."""
        self.name = name
        self.steps = 0
        self.dies_at = dies_at
        self.dies = dies
        self.is_over = False
        self.parked: list[asyncio.Handle] = []
        """What it would have done next."""


LIFE: contextvars.ContextVar[Life | None] = contextvars.ContextVar("life", default=None)


class _NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address."""

    def __init__(self, coroutine: Coroutine[Any, Any, Any], *, number: int, **kwargs: Any) -> None:
        self.number = number
        super().__init__(coroutine, **kwargs)

    def __hash__(self) -> int:
        return self.number

    def __repr__(self) -> str:
        return f"<task {self.number}>"  # AnyIO writes it into every cancellation


class _NumberedScope(backend.CancelScope):
    """The same for scopes: AnyIO cancels what it holds in sets, in their order."""

    __slots__ = ("number",)
    numbers = itertools.count()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.number = next(_NumberedScope.numbers)
        super().__init__(*args, **kwargs)

    def __hash__(self) -> int:
        return self.number


@contextmanager
def deterministic() -> Generator[None]:
    """Let AnyIO number its scopes."""
    original = backend.CancelScope
    backend.CancelScope = _NumberedScope  # type: ignore[misc]
    try:
        yield
    finally:
        backend.CancelScope = original  # type: ignore[misc]


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready; when nothing is, it is the next timer's moment."""

    _ready: Any
    _scheduled: list[Any]

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0
        self.steps = 0
        self.reaping = False
        """At the end everyone unwinds, the dead as well."""
        self.errors: list[str] = []
        self.limit = 1_000_000
        """Steps after which a run counts as stuck."""
        self._numbers = itertools.count(1)
        _NumberedScope.numbers = itertools.count()
        self.set_task_factory(self._numbered)

    def time(self) -> float:
        return self._now

    def leap(self, seconds: float) -> None:
        """Let time pass in which nobody runs, as if the machine were suspended."""
        self._now += seconds

    def revive(self, life: Life) -> None:
        """Let the dead unwind; what they touch is inert by now."""
        self._ready.extend(life.parked)
        life.parked.clear()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        if not self.reaping:
            self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _numbered(self, loop: asyncio.AbstractEventLoop, coroutine: Any, **kwargs: Any) -> asyncio.Task[Any]:
        return _NumberedTask(coroutine, number=next(self._numbers), loop=loop, **kwargs)

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        while scheduled and scheduled[0]._cancelled:
            heapq.heappop(scheduled)._scheduled = False
        if not ready:
            if not scheduled:
                raise StuckError("nothing is ready and no timer is set")
            self._now = max(self._now, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._now:
            timer = heapq.heappop(scheduled)
            timer._scheduled = False
            ready.append(timer)
        self.steps += len(ready)
        if self.steps > self.limit:
            raise StuckError(f"no end after {self.steps} steps")
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            life = handle._context.get(LIFE)
            if life is not None and not self.reaping:
                if life.is_over:
                    life.parked.append(handle)
                    continue
                life.steps += 1
                if life.steps == life.dies_at:
                    life.parked.append(handle)
                    life.dies(life)
                    continue
            handle._run()

    def _process_events(self, event_list: Any) -> None:
        """There are no events from outside."""

    def _write_to_self(self) -> None:
        """Nobody calls from another thread."""
