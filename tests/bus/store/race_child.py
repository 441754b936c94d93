"""One replica of a race: receives, claims, ends, gives back and renews what it can, and is killed at any moment.

It says on stdout what it has claimed, and before it ends a claim that it does so, each with the machine's time.
"""

from __future__ import annotations

import random
import sys
import time
from datetime import UTC, datetime

import anyio

from interlock.bus.clock import SystemClock
from interlock.bus.errors import LeaseLostError
from interlock.bus.store.postgres.store import PostgresStore
from interlock.bus.store.records import Claim, Commit, InboxMessage, OutboxMessage
from interlock.bus.store.writer import StoreUnavailableError

LEASE = 1.0
CONVERSATIONS = 7


def incoming(number: int) -> InboxMessage:
    """Return a message of one of a few conversations."""
    return InboxMessage(f"m{number:04}", "coordinator", "work", f"c{number % CONVERSATIONS}", b"{}", datetime.now(UTC))


def answer(claim: Claim) -> OutboxMessage:
    """Return what handling a message leads to, named by it and by the fence under which it was handled."""
    message = claim.message
    name = f"{message.message_id}-{claim.fence}"
    return OutboxMessage(name, "coordinator", "done", message.conversation_id, b"{}", datetime.now(UTC))


def say(*words: object) -> None:
    """Tell the parent; a line is written as a whole."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def work(store: PostgresStore, claim: Claim, chance: random.Random) -> None:
    """Do one of the things that happen to a message."""
    await anyio.sleep(chance.random() * 0.01)
    fate = chance.random()
    try:
        if fate > 0.8:
            await store.renew([claim], lease=LEASE)
        if not 0.2 <= fate < 0.25:
            say("ending", claim.fence, time.monotonic())
        if fate < 0.1:
            await store.release(claim)
        elif fate < 0.2:
            await store.retry(claim, not_before=datetime.now(UTC), error="try again")
        elif fate < 0.25:
            await anyio.sleep(LEASE * 1.2)  # too late, unless nobody has claimed it since
            say("ending", claim.fence, time.monotonic())
            await store.finish(claim, Commit(outgoing=(answer(claim),)))
        else:
            await store.finish(claim, Commit(outgoing=(answer(claim),)))
    except LeaseLostError:
        say("lost", claim.message.message_id, claim.fence)
    except StoreUnavailableError as error:
        say("away", error)


async def main(url: str, agent: str, seed: int, count: int) -> None:
    """Race until killed. Every replica offers every message, in the order of their numbers."""
    chance = random.Random(seed)
    store = await PostgresStore.open(url, agent=agent, clock=SystemClock())
    say("open")

    async def offer() -> None:
        for number in range(count):
            try:
                await store.receive(incoming(number))
            except StoreUnavailableError as error:
                say("away", error)

    async def claim() -> None:
        while True:
            try:
                asked = time.monotonic()
                claims = await store.claim(limit=chance.randint(1, 4), lease=LEASE)
                for held in claims:
                    message = held.message
                    say("claimed", message.message_id, message.conversation_id, held.fence, asked, time.monotonic())
                await store.mark_sent([message.message_id for message in await store.unsent(limit=5)])
            except StoreUnavailableError as error:
                say("away", error)
                continue
            async with anyio.create_task_group() as tasks:
                for held in claims:
                    tasks.start_soon(work, store, held, chance)
            if not claims:
                await anyio.sleep(0.02)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(offer)
        for _ in range(3):
            tasks.start_soon(claim)


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
