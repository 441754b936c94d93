"""Waits while a store cannot be used: a locked or full disk is no message's fault and costs no attempt."""

from __future__ import annotations

__all__ = ["Patience"]

import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from interlock.bus.clock import Clock
from interlock.bus.relay import Backoff
from interlock.bus.store.writer import StoreUnavailableError

_log = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


class Patience:
    """Repeats what the store could not do, for up to `longest` seconds each time."""

    def __init__(self, clock: Clock, *, longest: float, backoff: Backoff | None = None) -> None:
        self._clock = clock
        self._longest = longest
        self._backoff = backoff or Backoff(first=0.1, longest=5.0)

    def __repr__(self) -> str:
        return f"Patience(longest={self._longest:g})"

    async def insist(self, operation: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the operation returns: a method of the store, so that a failed one has left nothing behind.

        Raises StoreUnavailableError when the store stays away for too long; other errors at once.
        """
        end = self._clock.monotonic() + self._longest
        for attempt in itertools.count(1):
            try:
                return await operation(*args, **kwargs)
            except StoreUnavailableError as error:
                delay = self._backoff.delay(attempt)
                if self._clock.monotonic() + delay > end:
                    raise
                _log.warning("the store is asked again in %.1f s: %s", delay, error)
            await self._clock.sleep(delay)
        raise AssertionError("counting never ends")
