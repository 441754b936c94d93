"""A PostgreSQL session for readers in any thread, also one whose event loop runs; it cannot write."""

from __future__ import annotations

__all__ = ["PostgresReading"]

from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from interlock.bus.store.postgres.address import PostgresAddress
from interlock.bus.store.postgres.database import PostgresDatabase

Result = TypeVar("Result")


class PostgresReading(PostgresDatabase):
    """Blocks its caller for as long as a statement takes, in a thread of the session's own."""

    def __init__(self, address: PostgresAddress) -> None:
        super().__init__(address, announcer="", read_only=True)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store reader")

    def close(self) -> None:
        """End the session and the thread. Idempotent."""
        if not self._loop.is_closed():
            self._thread.submit(super().close).result()
        self._thread.shutdown()

    def _run(self, step: Coroutine[Any, Any, Result]) -> Result:
        return self._thread.submit(super()._run, step).result()
