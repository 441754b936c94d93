"""Operations that share a commit in PostgreSQL do what they do one by one, each with a verdict of its own."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from bus.store.harness import PostgresHarness
from interlock.bus.clock import VirtualClock
from interlock.bus.private_postgres import PrivatePostgres
from interlock.bus.store.postgres.database import PostgresDatabase
from interlock.bus.store.postgres.store import PostgresStore
from interlock.bus.store.records import Claim, Commit, Receipt
from store_rows import incoming, outgoing

pytestmark = pytest.mark.postgres


class Turnstile:
    """A fail point at which the writer waits, so that what is asked for meanwhile is one group."""

    def __init__(self) -> None:
        self.reached, self._free = threading.Event(), threading.Event()
        self._free.set()

    def __call__(self, moment: str) -> None:
        if moment == "begun":
            self.reached.set()
            self._free.wait(20)

    async def as_one_group(self, store: PostgresStore, calls: Sequence[Awaitable[Any]]) -> list[Any]:
        """Run the calls in one group; returns results and errors."""
        self._free.clear()
        self.reached.clear()
        first = asyncio.ensure_future(store.renew([], lease=30.0))  # whatever writes
        await asyncio.to_thread(self.reached.wait, 20)
        waiting = [asyncio.ensure_future(call) for call in calls]
        await asyncio.sleep(0)
        self._free.set()
        await first
        return await asyncio.gather(*waiting, return_exceptions=True)


def seen(outcomes: Sequence[Any]) -> list[Any]:
    """Return outcomes as they can be compared."""
    return [type(outcome) if isinstance(outcome, Exception) else outcome for outcome in outcomes]


async def one_by_one(calls: Sequence[Awaitable[Any]]) -> list[Any]:
    outcomes: list[Any] = []
    for call in calls:
        outcomes += await asyncio.gather(call, return_exceptions=True)
    return outcomes


def rows(harness: PostgresHarness) -> list[tuple[Any, ...]]:
    return harness.query(
        "SELECT message_id, state, fence, attempts, body, ended_at FROM inbox ORDER BY seq"
    ) + harness.query("SELECT message_id, receiver, state, body, ended_at FROM outbox ORDER BY seq")


@pytest.mark.parametrize("seed", range(4))
async def test_random_groups_do_what_their_operations_do_one_by_one(
    postgres: PrivatePostgres, clock: VirtualClock, seed: int
) -> None:
    chance, turnstile = random.Random(seed), Turnstile()
    grouped_harness, single_harness = PostgresHarness(postgres), PostgresHarness(postgres)
    grouped = await grouped_harness.open(clock, fail_point=turnstile)
    single = await single_harness.open(clock)
    claims: list[Claim] = []
    for _ in range(12):
        kind = chance.choice(("receive", "claim", "finish", "sent"))
        plans: list[Callable[[PostgresStore], Awaitable[Any]]] = []
        for _ in range(chance.randint(1, 8)):
            body = chance.choice((b"one", b"two"))
            if kind == "receive":
                number = chance.randint(1, 15)
                message = replace(incoming(f"m{number}"), conversation_id=f"c{number % 5}", body=body)
                plans.append(partial(PostgresStore.receive, message=message))
            elif kind == "claim":
                limit = chance.randint(1, 2)
                plans.append(partial(PostgresStore.claim, limit=limit, lease=30.0))
            elif kind == "finish" and claims:
                held = chance.choice(claims)
                held = replace(held, fence=held.fence - (chance.random() < 0.1))
                commit = Commit(outgoing=(replace(outgoing(f"o{chance.randint(1, 30)}"), body=body),))
                plans.append(partial(PostgresStore.finish, claim=held, commit=commit))
            elif kind == "sent":
                ids = [f"o{chance.randint(1, 30)}" for _ in range(chance.randint(0, 3))]
                plans.append(partial(PostgresStore.mark_sent, message_ids=ids))
        together = await turnstile.as_one_group(grouped, [plan(grouped) for plan in plans])
        apart = await one_by_one([plan(single) for plan in plans])
        assert seen(together) == seen(apart)
        assert await asyncio.to_thread(rows, grouped_harness) == await asyncio.to_thread(rows, single_harness)
        if kind == "claim":
            claims += [held for share in together for held in share]
    await grouped.aclose()
    await single.aclose()


async def test_what_is_taken_in_together_is_received_in_order_and_shared_out_by_the_wishes(
    postgres_harness: PostgresHarness, clock: VirtualClock
) -> None:
    turnstile = Turnstile()
    store = await postgres_harness.open(clock, fail_point=turnstile)
    rows = {name: incoming(name, conversation=name[0]) for name in ("a1", "a2", "b1", "c1", "d1")}
    forged = replace(rows["a1"], body=b"forged")
    first, none, second = await turnstile.as_one_group(
        store,
        [
            store.take_in([rows["a1"], rows["a2"], rows["b1"]], limit=1, lease=30.0),
            store.take_in([], limit=0, lease=30.0),
            store.take_in([rows["c1"], forged, rows["b1"], rows["d1"]], limit=2, lease=30.0),
        ],
    )
    assert first.receipts == (Receipt.NEW,) * 3
    assert none.receipts == none.claims == ()
    assert second.receipts == (Receipt.NEW, Receipt.CONFLICT, Receipt.DUPLICATE, Receipt.NEW)
    assert [claim.message.message_id for claim in first.claims] == ["a1"]
    assert [claim.message.message_id for claim in second.claims] == ["b1", "c1"]
    await store.aclose()


async def test_a_group_takes_as_many_statements_as_one_message(
    postgres_harness: PostgresHarness, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    turnstile = Turnstile()
    store = await postgres_harness.open(clock, fail_point=turnstile)
    statements: list[str] = []
    run = PostgresDatabase.execute

    def counted(self: PostgresDatabase, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        if "pg_notify" not in sql:
            statements.append(sql)
        return run(self, sql, parameters)

    monkeypatch.setattr(PostgresDatabase, "execute", counted)  # counts, and runs what it always runs
    ahead = 1  # statements of the call that opens the group
    messages = [replace(incoming(f"m{number}"), conversation_id=f"c{number}") for number in range(50)]
    assert set(await turnstile.as_one_group(store, [store.receive(each) for each in messages])) == {Receipt.NEW}
    assert len(statements) <= ahead + 1
    claims = await store.claim(limit=50, lease=30.0)
    statements.clear()
    fresh = [incoming(f"f{number}", conversation=f"f{number}") for number in range(50)]
    taken = await turnstile.as_one_group(store, [store.take_in([each], limit=1, lease=30.0) for each in fresh])
    assert [each.claims[0].message for each in taken] == fresh
    assert len(statements) <= ahead + 1 + 4
    statements.clear()
    stale = replace(claims[0], fence=claims[0].fence + 1000)
    assert [held.seq for held in await store.renew([stale, *claims], lease=60.0)] == [held.seq for held in claims]
    assert len(statements) == 1
    statements.clear()
    answers = [outgoing(f"o{number}") for number in range(50)]
    await turnstile.as_one_group(
        store,
        [store.finish(held, Commit(outgoing=(each,))) for held, each in zip(claims, answers, strict=True)],
    )
    assert len(statements) <= ahead + 2
    statements.clear()
    await turnstile.as_one_group(store, [store.mark_sent([each.message_id]) for each in answers])
    assert len(statements) <= ahead + 1
    assert (await store.counts()).unsent == 0
    await store.aclose()
