"""The child of the crash test: works its input off and is killed, by itself at a fail point or by its parent.

Arguments: database, world, fail point (or `none`), at which passing of it to die, message numbers to offer. The world
is a file that stands for an outside system: each line is an effect that has really happened.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import anyio

from interlock.bus.clock import SystemClock
from interlock.bus.store.opening import is_shared
from interlock.bus.store.port import Store
from interlock.bus.store.postgres.store import PostgresStore
from interlock.bus.store.records import Claim, Commit, EffectState, InboxMessage, OutboxMessage, WorkflowRow
from interlock.bus.store.sqlite import SqliteStore

CONVERSATIONS = 7


def deadly(point: str, passing: int) -> Callable[[str], None]:
    """Return a hook that kills this process when it passes a point for the nth time."""
    left = passing

    def reach(name: str) -> None:
        nonlocal left
        if name == point:
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    return reach


class World:
    """The outside system: one fsynced line per effect."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def act(self, key: str) -> None:
        with self._path.open("a") as file:
            file.write(f"{key}\n")
            file.flush()
            os.fsync(file.fileno())

    def has(self, key: str) -> bool:
        return self._path.exists() and key in self._path.read_text().split()


async def work(store: Store, claim: Claim, world: World, reach: Callable[[str], None]) -> None:
    """Handle one message: an effect under its key, then state, answer and done mark together."""
    reach("claimed")
    key = f"effect-{claim.message.message_id}"
    row, new = await store.begin_effect(key, request_hash="r", fence=claim.fence)
    reach("intended")
    if new or (row.state is EffectState.UNKNOWN and not world.has(key)):
        world.act(key)
        reach("acted")
    await store.settle_effect(key, state=EffectState.DONE, result=None, fence=claim.fence)
    reach("settled")
    now = datetime.now(UTC)
    conversation = claim.message.conversation_id
    stored = await store.workflow(conversation)
    version = 1 if stored is None else stored.version + 1
    answer = OutboxMessage(f"answer-{claim.message.message_id}", "qa-agent", "answer", conversation, b"{}", now)
    state = WorkflowRow(conversation, "count", version, "counting", False, str(version).encode(), now)
    await store.finish(claim, Commit(outgoing=(answer,), workflow=state))
    reach("finished")


async def relay(store: Store, sent: World, reach: Callable[[str], None]) -> None:
    """Publish into a file; at least once."""
    waiting = await store.unsent(limit=99)
    for message in waiting:
        sent.act(message.message_id)
    reach("published")
    await store.mark_sent([message.message_id for message in waiting])
    reach("marked")


async def claimed(store: Store, lease: float) -> tuple[Claim, ...]:
    """Claim some; a killed replica's leases are waited for."""
    while True:
        claims = await store.claim(limit=3, lease=lease)
        if claims or not (await store.counts()).leased:
            return claims
        await anyio.sleep(0.05)


def incoming(number: str) -> InboxMessage:
    return InboxMessage(number, "coordinator", "work", f"c{int(number) % CONVERSATIONS}", b"{}", datetime.now(UTC))


async def main(database: str, world: str, point: str, passing: int, numbers: Sequence[str]) -> None:
    """Offer every other message twice, take the rest in and begin at once, and work until nothing is left."""
    offered, direct = numbers[::2], numbers[1::2]
    reach = deadly(point, passing)
    lease = 1.0 if is_shared(database) else 60.0
    opening = PostgresStore.open if is_shared(database) else SqliteStore.open
    store = await opening(database, agent="devops-agent", clock=SystemClock(), fail_point=reach)
    print("open", flush=True)
    for number in (*offered, *offered):
        await store.receive(incoming(number))
        reach("received")
    for first in range(0, len(direct), 3):
        taken = await store.take_in([incoming(number) for number in direct[first : first + 3]], limit=2, lease=lease)
        reach("taken")
        for claim in taken.claims:
            await work(store, claim, World(Path(world)), reach)
    while claims := await claimed(store, lease):
        async with anyio.create_task_group() as workers:
            for claim in claims:
                workers.start_soon(work, store, claim, World(Path(world)), reach)
        await relay(store, World(Path(f"{world}.sent")), reach)
    while (await store.counts()).unsent:  # a killed replica leads for ten seconds more
        await relay(store, World(Path(f"{world}.sent")), reach)
        await anyio.sleep(0.01)
    await store.aclose()


if __name__ == "__main__":
    database, world, point, passing, *offered = sys.argv[1:]
    anyio.run(main, database, world, point, int(passing), offered)
