"""Prints how much sharing commits gains: the same work, grouped as the store does it, and with a commit per operation.

Run it with `python tests/benchmarks/store.py`, for SQLite and for a private PostgreSQL that waits for its disk. Ratios
of one run can be compared between machines, rates cannot.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path

from interlock.bus.clock import SystemClock
from interlock.bus.private_postgres import PrivatePostgres
from interlock.bus.store.opening import open_store
from interlock.bus.store.records import Claim, Commit, InboxMessage, OutboxMessage
from interlock.bus.store.sql import SqlStore
from interlock.bus.store.upkeep import migrate

SECONDS = 1.5
BODY = b"x" * 450


class Cycle:
    """Receive, claim, finish with an answer, mark sent: what one message costs the store."""

    def __init__(self, store: SqlStore, *, alone: bool) -> None:
        self._store = store
        self._alone = asyncio.Lock() if alone else None
        self.messages = 0

    def _turn(self) -> AbstractAsyncContextManager[None]:
        """Let one operation at a time through where each is to have a commit of its own."""
        return self._alone or nullcontext()

    async def run(self, worker: int, *, until: float) -> None:
        """Work through messages of one conversation until the time is over."""
        turn = 0
        while time.perf_counter() < until:
            turn += 1
            await self._handle(f"{worker}-{turn}", f"c{worker}")
            self.messages += 1

    async def _handle(self, message_id: str, conversation: str) -> None:
        now = datetime.now(UTC)
        async with self._turn():
            await self._store.receive(InboxMessage(message_id, "a", "t", conversation, BODY, now))
        async with self._turn():
            claims = await self._store.claim(limit=1, lease=30.0)
        for claim in claims:
            await self._finish(claim, now)

    async def _finish(self, claim: Claim, now: datetime) -> None:
        answer = OutboxMessage(f"o{claim.message.message_id}", "b", "t", claim.message.conversation_id, BODY, now)
        async with self._turn():
            await self._store.finish(claim, Commit(outgoing=(answer,)))
        async with self._turn():
            await self._store.mark_sent([answer.message_id])


async def measure(address: str, in_flight: int, *, alone: bool) -> tuple[float, float]:
    """Return messages per second and commits per message."""
    agent = f"a{in_flight}{alone}".lower()
    address = address.replace("{agent}", agent)
    await asyncio.to_thread(migrate, address, agent=agent, now=0)
    store = await open_store(address, agent=agent, clock=SystemClock())
    cycle = Cycle(store, alone=alone)
    until = time.perf_counter() + SECONDS
    await asyncio.gather(*(cycle.run(worker, until=until) for worker in range(in_flight)))
    commits = store.statistics().commits
    await store.aclose()
    return cycle.messages / SECONDS, commits / cycle.messages


async def main() -> None:
    """Print one line per store and number of messages in flight."""
    with tempfile.TemporaryDirectory() as directory:
        await compare("sqlite", f"{directory}/{{agent}}.db")
        async with PrivatePostgres(Path(directory) / "server", durable=True) as server:
            await compare("postgres", server.url())


async def compare(name: str, address: str) -> None:
    """Print a store's lines."""
    for in_flight in (1, 16, 256):
        grouped, commits = await measure(address, in_flight, alone=False)
        alone, _ = await measure(address, in_flight, alone=True)
        print(
            f"{name:>8}, {in_flight:>3} in flight: grouped {grouped:>7.0f}/s, commit per operation {alone:>6.0f}/s, "
            f"ratio {grouped / alone:>5.1f}, commits per message {commits:.3f}"
        )


if __name__ == "__main__":
    asyncio.run(main())
