"""Replicas share a store: each message has one holder, one of them publishes, and a lost session loses nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from bus.store.harness import AGENT, PostgresHarness
from interlock.bus.clock import SystemClock, VirtualClock
from interlock.bus.errors import LeaseLostError
from interlock.bus.private_postgres import PrivatePostgres
from interlock.bus.store.audit import verify_chain
from interlock.bus.store.opening import open_reader, open_store
from interlock.bus.store.port import Store
from interlock.bus.store.postgres.address import PostgresAddress
from interlock.bus.store.postgres.database import PostgresDatabase
from interlock.bus.store.postgres.store import PostgresStore, migrate_schema
from interlock.bus.store.records import AuditEntry, Commit, EffectState, Receipt, TimerRow
from interlock.bus.store.writer import StoreUnavailableError
from interlock.protocol.errors import UsageError
from store_rows import claim_one, incoming, outgoing, workflow

pytestmark = pytest.mark.postgres

DEADLINE = 20.0


@pytest.fixture
async def replicas(
    postgres_harness: PostgresHarness, clock: VirtualClock
) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    first, second = await postgres_harness.open(clock), await postgres_harness.open(clock)
    yield first, second
    await first.aclose()
    await second.aclose()


async def end_sessions(harness: PostgresHarness) -> int:
    """End every session with the store's database but the one that asks, as a failing network does."""
    rows = await anyio.to_thread.run_sync(
        harness.query,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    return len(rows)


async def test_it_is_a_store_and_shows_no_password(replicas: tuple[PostgresStore, PostgresStore]) -> None:
    port: Store = replicas[0]
    assert repr(port).startswith("PostgresStore(postgresql://127.0.0.1:")
    assert ", schema devops-agent, replica='" in repr(port)
    assert "interlock:" not in repr(port)


async def test_racing_replicas_claim_each_conversation_once(replicas: tuple[PostgresStore, PostgresStore]) -> None:
    """Each round offers two messages of each of 20 conversations to two replicas that claim and finish at once."""
    handled: list[str] = []
    at_work: set[str] = set()

    async def work(store: PostgresStore) -> None:
        while claims := await store.claim(limit=3, lease=30.0):
            for claim in claims:
                assert claim.message.conversation_id not in at_work, "two of one conversation at once"
                at_work.add(claim.message.conversation_id)
            await asyncio.sleep(0)
            for claim in claims:
                at_work.discard(claim.message.conversation_id)
                handled.append(claim.message.message_id)
                await store.finish(claim, Commit())

    offered = [f"c{number}-{turn}" for turn in range(2) for number in range(20)]
    for message_id in offered:
        await replicas[0].receive(incoming(message_id, conversation=message_id.partition("-")[0]))
    await asyncio.gather(work(replicas[0]), work(replicas[1]))
    while claims := await replicas[0].claim(limit=99, lease=30.0):  # what the other held when one looked last
        for claim in claims:
            handled.append(claim.message.message_id)
            await replicas[0].finish(claim, Commit())
    assert sorted(handled) == sorted(offered)
    for number in range(20):
        assert handled.index(f"c{number}-0") < handled.index(f"c{number}-1")


async def test_what_a_dead_replica_held_goes_on_when_its_lease_ends(
    postgres_harness: PostgresHarness, replicas: tuple[PostgresStore, PostgresStore], clock: VirtualClock
) -> None:
    dead, survivor = replicas
    await survivor.receive(incoming("m1"))
    held = await claim_one(dead)
    row, new = await dead.begin_effect("jira:comment", request_hash="r", fence=held.fence)
    assert (row.state, new) == (EffectState.STARTED, True)
    third = await postgres_harness.open(clock)  # opening proves nobody dead
    assert await third.claim(limit=1, lease=30.0) == ()
    await third.aclose()
    await clock.advance(30.0)
    again = await claim_one(survivor)
    assert (again.attempt, again.fence > held.fence) == (2, True)
    row, new = await survivor.begin_effect("jira:comment", request_hash="r", fence=again.fence)
    assert (row.state, new) == (EffectState.UNKNOWN, False)
    with pytest.raises(LeaseLostError):
        await dead.finish(held, Commit(outgoing=(outgoing("o1"),)))
    with pytest.raises(LeaseLostError):
        await dead.begin_effect("jira:comment", request_hash="r", fence=held.fence)


async def test_one_replica_publishes_until_it_falls_silent(
    replicas: tuple[PostgresStore, PostgresStore], clock: VirtualClock
) -> None:
    leader, other = replicas
    await leader.commit(Commit(outgoing=(outgoing("o1"), outgoing("o2"))))
    assert [message.message_id for message in await leader.unsent(limit=9)] == ["o1", "o2"]
    assert await other.unsent(limit=9) == ()
    assert await other.next_due() == clock.now() + timedelta(seconds=10)
    await clock.advance(9.0)
    assert len(await leader.unsent(limit=9)) == 2
    await clock.advance(9.0)
    assert await other.unsent(limit=9) == ()
    await clock.advance(1.0)
    assert [message.message_id for message in await other.unsent(limit=9)] == ["o1", "o2"]
    assert await leader.unsent(limit=9) == ()
    await other.mark_sent(["o1", "o2"])
    assert await leader.next_due() is None


async def test_who_leaves_in_good_order_leaves_the_outbox_to_another_at_once(
    postgres_harness: PostgresHarness, clock: VirtualClock
) -> None:
    leader, other = await postgres_harness.open(clock), await postgres_harness.open(clock)
    await leader.commit(Commit(outgoing=(outgoing("o1"),)))
    assert len(await leader.unsent(limit=9)) == 1
    assert await other.unsent(limit=9) == ()
    news = other.changes()
    with anyio.fail_after(DEADLINE):
        await anext(news)
        await leader.aclose()
        await anext(news)
    assert [message.message_id for message in await other.unsent(limit=9)] == ["o1"]
    await news.aclose()
    await other.aclose()


async def test_a_timer_fires_once_whoever_looks(
    replicas: tuple[PostgresStore, PostgresStore], clock: VirtualClock
) -> None:
    await replicas[0].commit(Commit(set_timers=(TimerRow("proj-140", "reminder", clock.now()),)))
    fired = await asyncio.gather(*(store.fire_timers(clock.now()) for store in replicas for _ in range(4)))
    assert sum(fired) == 1


async def test_a_message_offered_to_both_is_taken_in_once(replicas: tuple[PostgresStore, PostgresStore]) -> None:
    receipts = await asyncio.gather(
        *(store.receive(incoming(f"m{number}")) for number in range(20) for store in replicas)
    )
    assert receipts.count(Receipt.NEW) == 20
    assert receipts.count(Receipt.DUPLICATE) == 20


async def test_both_append_to_one_chain(replicas: tuple[PostgresStore, PostgresStore]) -> None:
    entry = AuditEntry("proj-140", "devops-agent", "plan_applied", {})
    await asyncio.gather(*(store.commit(Commit(audit=(entry,))) for _ in range(20) for store in replicas))
    trail = await replicas[0].audit()
    assert (len(trail), verify_chain(trail)) == (40, None)


async def test_one_that_fails_takes_nobody_of_its_group_with_it(
    replicas: tuple[PostgresStore, PostgresStore],
) -> None:
    store = replicas[0]
    outcomes = await asyncio.gather(
        *(
            store.commit(Commit(outgoing=(outgoing(f"o{number}"),), workflow=workflow(number)))
            for number in (1, 7, 2, 9, 3)  # versions: 7 and 9 have no predecessor
        ),
        return_exceptions=True,
    )
    assert [outcome is None for outcome in outcomes] == [True, False, True, False, True]
    assert [message.message_id for message in await store.unsent(limit=9)] == ["o1", "o2", "o3"]


async def test_news_reach_the_other_replica_and_not_oneself(postgres_harness: PostgresHarness) -> None:
    clock = SystemClock()
    store, other = await postgres_harness.open(clock), await postgres_harness.open(clock)
    news, own = other.changes(), store.changes()
    with anyio.fail_after(DEADLINE):
        await anext(news)  # it listens
        await anext(own)
        await store.receive(incoming("m1"))
        await anext(news)
        await other.receive(incoming("m2"))
        await anext(own)
    with anyio.move_on_after(0.2) as waiting:
        await anext(news)
    assert waiting.cancelled_caught
    await own.aclose()
    await store.aclose()
    await other.aclose()


async def test_a_listener_whose_session_was_ended_listens_again(postgres_harness: PostgresHarness) -> None:
    clock = SystemClock()
    store, other = await postgres_harness.open(clock), await postgres_harness.open(clock)
    news = other.changes()
    with anyio.fail_after(DEADLINE):
        await anext(news)
        assert await end_sessions(postgres_harness) >= 3
        await anext(news)  # it is back
        with pytest.raises(StoreUnavailableError):
            await store.receive(incoming("m1"))
        await store.receive(incoming("m1"))
        await anext(news)
    await news.aclose()
    await store.aclose()
    await other.aclose()


async def test_after_a_lost_session_the_next_call_works_and_a_repeated_finish_is_done_once(
    postgres_harness: PostgresHarness, replicas: tuple[PostgresStore, PostgresStore]
) -> None:
    store = replicas[0]
    await store.receive(incoming("m1"))
    claim = await claim_one(store)
    await store.finish(claim, Commit(outgoing=(outgoing("o1"),), workflow=workflow(1)))
    assert await end_sessions(postgres_harness) == 2
    with pytest.raises(StoreUnavailableError, match="try again"):
        await store.finish(claim, Commit(outgoing=(outgoing("o1"),), workflow=workflow(1)))
    await store.finish(claim, Commit(outgoing=(outgoing("o1"),), workflow=workflow(1)))
    counts = await store.counts()
    assert (counts.ready, counts.leased, counts.unsent) == (0, 0, 1)


async def test_a_store_without_schema_is_refused_with_the_command(
    postgres_harness: PostgresHarness, clock: VirtualClock
) -> None:
    await anyio.to_thread.run_sync(postgres_harness.make_database)
    with pytest.raises(UsageError, match="run `interlock store migrate devops-agent`"):
        await open_store(postgres_harness.address, agent=AGENT, clock=clock)


async def test_two_migrations_at_once_make_one_schema(postgres_harness: PostgresHarness) -> None:
    await anyio.to_thread.run_sync(postgres_harness.make_database)
    applied: list[int] = []

    async def run() -> None:
        steps = await anyio.to_thread.run_sync(lambda: migrate_schema(postgres_harness.address, agent=AGENT, now=1))
        applied.append(len(steps))

    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(run)
    assert sorted(applied) == [0, 0, 3]


async def test_agents_share_a_database_and_no_row(postgres_harness: PostgresHarness, clock: VirtualClock) -> None:
    devops = await postgres_harness.open(clock)
    await anyio.to_thread.run_sync(lambda: migrate_schema(postgres_harness.address, agent="qa-agent", now=1))
    qa = await open_store(postgres_harness.address, agent="qa-agent", clock=clock)
    await devops.receive(incoming("m1"))
    assert await qa.receive(incoming("m1")) is Receipt.NEW
    assert (await devops.counts()).ready == 1
    await devops.aclose()
    await qa.aclose()


async def test_a_refused_login_and_a_server_that_is_away_are_told_apart(
    postgres_harness: PostgresHarness, clock: VirtualClock
) -> None:
    wrong = postgres_harness.server.url().replace("interlock:", "interlock:not-")
    with pytest.raises(UsageError, match="refuses the session") as refused:
        await open_store(wrong, agent=AGENT, clock=clock)
    assert "not-" not in str(refused.value)
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        await open_store("postgresql://nobody:secret@127.0.0.1:9/none", agent=AGENT, clock=clock)


async def test_a_clock_that_differs_is_told(
    postgres_harness: PostgresHarness, clock: VirtualClock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        await (await postgres_harness.open(clock)).aclose()
    assert "this clock and that of the store" in caplog.text


async def test_a_reader_reads_in_a_running_loop_and_cannot_write(
    postgres_harness: PostgresHarness, clock: VirtualClock
) -> None:
    store = await postgres_harness.open(clock)
    await store.commit(Commit(outgoing=(outgoing("o1"),), workflow=workflow(1)))
    with open_reader(postgres_harness.address, agent=AGENT) as reader:
        assert reader.workflows() == await store.workflows()
        assert reader.conversation("proj-140") == (b"{}",)
        with pytest.raises(Exception, match="read-only transaction"):
            reader._database.connection.execute("DELETE FROM workflow")  # pyright: ignore[reportPrivateUsage] - that it cannot
    await store.aclose()


def test_an_agents_name_in_the_url_is_its_own() -> None:
    address = PostgresAddress("postgresql://devops-agent:secret@db.example:5433/interlock?sslmode=require", AGENT)
    assert str(address) == "postgresql://db.example:5433/interlock, schema devops-agent"
    assert "secret" not in repr(address)


async def test_a_server_that_failed_has_kept_what_it_confirmed(tmp_path: Path) -> None:
    clock = SystemClock()
    async with PrivatePostgres(tmp_path / "server", durable=True) as server:
        harness = PostgresHarness(server)
        store = await harness.open(clock)
        confirmed: list[str] = []

        async def offer(number: int) -> None:
            with contextlib.suppress(StoreUnavailableError):
                await store.receive(incoming(f"m{number}"))
                confirmed.append(f"m{number}")
                if len(confirmed) == 100:
                    enough.set()

        enough = anyio.Event()
        with anyio.fail_after(60):
            async with anyio.create_task_group() as offering:
                for number in range(400):
                    offering.start_soon(offer, number)
                await enough.wait()
                await server.restart()
            while True:
                try:
                    known = [await store.receive(incoming(message_id)) for message_id in confirmed]
                    break
                except StoreUnavailableError:
                    await anyio.sleep(0.1)  # it recovers
        assert set(known) == {Receipt.DUPLICATE}
        await store.aclose()


async def test_a_replica_that_stalls_inside_a_transaction_holds_the_others_up_for_seconds_only(
    postgres_harness: PostgresHarness, replicas: tuple[PostgresStore, PostgresStore]
) -> None:
    stalled = PostgresDatabase(PostgresAddress(postgres_harness.address, AGENT), announcer="")
    await anyio.to_thread.run_sync(stalled.begin)
    started = anyio.current_time()
    with anyio.fail_after(60):
        while True:
            try:
                assert await replicas[0].receive(incoming("m1")) is Receipt.NEW
                break
            except StoreUnavailableError:
                continue  # its own patience with the lock may end first
    assert anyio.current_time() - started < 30
    with pytest.raises(PostgresDatabase.errors):
        await anyio.to_thread.run_sync(stalled.commit)
    await anyio.to_thread.run_sync(stalled.close)
