"""Replicas race for the messages of one store and are killed at any moment: nothing is lost, doubled or reordered."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import sys
from collections import defaultdict
from pathlib import Path

import anyio
import pytest

from bus.store.harness import AGENT, PostgresHarness
from bus.store.race_child import LEASE

pytestmark = pytest.mark.postgres

REPLICAS, MESSAGES, KILLS = 4, 80, 5
CHILD = Path(__file__).with_name("race_child.py")


async def start(harness: PostgresHarness, seed: int, said: list[list[str]]) -> asyncio.subprocess.Process:
    """Start a replica, and keep what it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD), harness.address, AGENT, str(seed), str(MESSAGES)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"open\n", f"the replica with seed {seed} did not start"

    async def listen(output: asyncio.StreamReader) -> None:
        while line := await output.readline():
            if line.endswith(b"\n"):
                said.append(line.decode().split(" "))

    asyncio.get_running_loop().create_task(listen(process.stdout))
    return process


async def test_racing_and_dying_replicas_handle_every_message_once_and_in_order(
    postgres_harness: PostgresHarness,
) -> None:
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance, said = random.Random(seed), list[list[str]]()
    await asyncio.to_thread(postgres_harness.make)
    processes = [await start(postgres_harness, seed + place, said) for place in range(REPLICAS)]
    try:
        for kill in range(KILLS):
            await anyio.sleep(chance.uniform(0.05, 0.4))  # a moment of its own choice
            place = chance.randrange(REPLICAS)
            processes[place].kill()
            await processes[place].wait()
            processes[place] = await start(postgres_harness, seed + REPLICAS + kill, said)
        with anyio.fail_after(90):
            while await count_open(postgres_harness):  # noqa: ASYNC110 - only the database knows
                await anyio.sleep(0.1)
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    await asyncio.to_thread(check, postgres_harness, said)


async def count_open(harness: PostgresHarness) -> int:
    """Return how many messages are not done, those included that were not offered yet."""
    rows = await asyncio.to_thread(harness.query, "SELECT count(*) FROM inbox WHERE state = 'done'")
    return MESSAGES - int(rows[0][0])


def check(harness: PostgresHarness, said: list[list[str]]) -> None:
    """Compare what is in the store with what the replicas were told."""
    inbox = harness.query("SELECT message_id, conversation_id, fence, attempts FROM inbox ORDER BY seq")
    outbox = harness.query("SELECT message_id FROM outbox ORDER BY seq")
    assert [message_id for message_id, *_ in inbox] == sorted(message_id for message_id, *_ in inbox)
    assert len(inbox) == MESSAGES
    # The answer that was written is that of the fence under which the message ended, and there is one.
    assert sorted(name for (name,) in outbox) == sorted(f"{message_id}-{fence}" for message_id, _, fence, _ in inbox)
    # Answers of one conversation were written in the order of its messages.
    conversation_of = {message_id: conversation for message_id, conversation, *_ in inbox}
    answered: dict[str, list[str]] = defaultdict(list)
    for (name,) in outbox:
        message_id = name.partition("-")[0]
        answered[conversation_of[message_id]].append(message_id)
    assert all(names == sorted(names) for names in answered.values())
    # No fence was given out twice, and of one conversation later messages have later fences: none overtook another.
    claimed = [int(words[3]) for words in said if words[0] == "claimed"]
    assert len(claimed) == len(set(claimed))
    fences: dict[str, list[int]] = defaultdict(list)
    for _, conversation, fence, _ in inbox:
        fences[conversation].append(fence)
    assert all(order == sorted(order) for order in fences.values())
    assert not [words for words in said if words[0] == "away" and "deadlock" in " ".join(words)]
    check_turns(said)


def check_turns(said: list[list[str]]) -> None:
    """Of one conversation nobody began before the one before was about to end, or its lease was over."""
    ending = {int(words[1]): float(words[2]) for words in said if words[0] == "ending"}
    turns: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for words in said:
        if words[0] == "claimed":
            turns[words[2]].append((int(words[3]), float(words[4]), float(words[5])))
    for claims in turns.values():
        claims.sort()
        for (before, asked, _), (fence, _, began) in itertools.pairwise(claims):
            assert ending.get(before, began + 1) <= began or began - asked >= LEASE, (before, fence)
