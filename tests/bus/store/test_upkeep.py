"""Stores are migrated, checked and moved from outside their agents, whichever database they are in."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from bus.store.harness import AGENT, PostgresHarness, StoreHarness
from bus.store.test_schema import MADE_BY_RELEASE_0_1
from interlock.bus.clock import VirtualClock
from interlock.bus.errors import StoreBusyError
from interlock.bus.store import upkeep
from interlock.bus.store.audit import verify_chain
from interlock.bus.store.opening import open_store
from interlock.bus.store.records import AuditEntry, Commit, Receipt
from interlock.bus.store.sql import SqlStore
from interlock.bus.store.sqlite import SqliteStore
from interlock.protocol.errors import UsageError
from store_rows import START, claim_one, incoming, outgoing

HEAD = 8


async def condition(harness: StoreHarness) -> upkeep.Condition:
    return await anyio.to_thread.run_sync(partial(upkeep.check, harness.address, agent=AGENT))


async def test_a_store_at_work_is_as_it_should_be(store: SqlStore, harness: StoreHarness) -> None:
    await store.commit(Commit(audit=(AuditEntry("proj-140", AGENT, "plan_applied", {}),)))
    assert await condition(harness) == upkeep.Condition(schema=HEAD, release=HEAD, problems=())


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("DROP INDEX outbox_unsent", "index outbox_unsent is missing"),
        ("CREATE INDEX mine ON outbox(receiver)", "index mine is no part of the schema"),
        ("ALTER TABLE effect ADD COLUMN mine TEXT", "column effect.mine is no part of the schema"),
        ("DROP VIEW inbox_head", "view inbox_head is missing"),
    ],
)
async def test_what_someone_changed_in_the_database_is_found(
    store: SqlStore, harness: StoreHarness, statement: str, problem: str
) -> None:
    await store.aclose()
    await anyio.to_thread.run_sync(harness.query, statement)
    assert problem in (await condition(harness)).problems


async def test_a_rewritten_trail_is_found(store: SqlStore, harness: StoreHarness) -> None:
    entry = AuditEntry("proj-140", AGENT, "plan_applied", {})
    await store.commit(Commit(audit=(entry, entry)))
    await store.aclose()
    insert = (
        "INSERT INTO audit(number, at, conversation_id, actor, action, details, previous_hash, hash) "
        "VALUES (3, 1, 'proj-140', 'mallory', 'approved', '{}', 'x', 'y')"
    )
    await anyio.to_thread.run_sync(harness.query, insert)
    assert (await condition(harness)).problems == ("audit line 3 does not follow from the one before it",)


async def test_a_file_of_an_earlier_release_is_told_shown_and_migrated(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(MADE_BY_RELEASE_0_1.read_text())
    (problem,) = upkeep.check(str(path), agent=AGENT).problems
    assert problem == "schema 6 is not 8: run `interlock store migrate`"
    statements = upkeep.pending_statements(str(path), agent=AGENT)
    assert "ALTER TABLE owner ADD COLUMN leader TEXT" in statements
    assert [step.name for step in upkeep.migrate(str(path), agent=AGENT, now=1)] == ["repairs", "replicas"]
    assert upkeep.pending_statements(str(path), agent=AGENT) == ()
    assert upkeep.migrate(str(path), agent=AGENT, now=2) == ()
    assert upkeep.check(str(path), agent=AGENT).problems == ()


async def test_a_file_whose_agent_runs_is_not_migrated(sqlite_store: SqliteStore, path: Path) -> None:
    with pytest.raises(StoreBusyError):
        await anyio.to_thread.run_sync(partial(upkeep.migrate, str(path), agent=AGENT, now=1))


def test_what_is_not_there_is_made_by_migrating_and_by_nothing_else(path: Path) -> None:
    with pytest.raises(UsageError, match="there is no store"):
        upkeep.check(str(path), agent=AGENT)
    assert len(upkeep.pending_statements(str(path), agent=AGENT)) > 40
    assert not path.exists()
    assert len(upkeep.migrate(str(path), agent=AGENT, now=1)) == 3


@pytest.mark.postgres
async def test_a_file_moves_to_postgresql_with_everything_in_it(
    path: Path, postgres_harness: PostgresHarness, clock: VirtualClock
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(MADE_BY_RELEASE_0_1.read_text())
    file = await SqliteStore.open(path, agent=AGENT, clock=clock)
    held = await claim_one(file)
    await file.finish(held, Commit(outgoing=(outgoing("o9"),)))
    await clock.advance(60.0)
    await file.prune(clock.now())  # so that the highest number is no row's any more
    before = (await file.workflows(), await file.approvals(), await file.dead(), await file.audit())
    waiting = await file.unsent(limit=99)
    await file.aclose()

    await anyio.to_thread.run_sync(postgres_harness.make_database)
    move = partial(upkeep.copy, path, postgres_harness.address, agent=AGENT, now=1)
    assert await anyio.to_thread.run_sync(move) > 10
    store = await open_store(postgres_harness.address, agent=AGENT, clock=clock)
    assert (await store.workflows(), await store.approvals(), await store.dead(), await store.audit()) == before
    assert verify_chain(await store.audit()) is None
    assert await store.unsent(limit=99) == waiting
    assert await store.receive(incoming(held.message.message_id, conversation="c4", body=b'{"n": 4}')) is (
        Receipt.DUPLICATE
    )
    await store.receive(incoming("fresh", conversation="fresh"))
    claims = await store.claim(limit=9, lease=30.0)
    fresh = next(claim for claim in claims if claim.message.message_id == "fresh")
    assert fresh.seq > held.seq
    assert min(claim.fence for claim in claims) > held.fence
    assert await store.fire_timers(START + timedelta(minutes=5)) == 1
    await store.aclose()
    assert (await condition(postgres_harness)).problems == ()
    with pytest.raises(UsageError, match="holds rows in inbox"):
        await anyio.to_thread.run_sync(move)


@pytest.mark.postgres
async def test_a_file_at_work_is_not_copied(
    sqlite_store: SqliteStore, path: Path, postgres_harness: PostgresHarness
) -> None:
    await anyio.to_thread.run_sync(postgres_harness.make_database)
    with pytest.raises(StoreBusyError):
        await anyio.to_thread.run_sync(partial(upkeep.copy, path, postgres_harness.address, agent=AGENT, now=1))


async def test_without_its_driver_the_store_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['asyncpg'] = None\n"
        "import anyio\n"
        "from interlock.bus.clock import SystemClock\n"
        "from interlock.bus.store.opening import open_store\n"
        "from interlock.protocol.errors import UsageError\n"
        "async def main():\n"
        "    try:\n"
        "        await open_store('postgresql://x/y', agent='qa-agent', clock=SystemClock())\n"
        "    except UsageError as error:\n"
        "        print(error)\n"
        "anyio.run(main)\n"
    )
    ended = await anyio.run_process([sys.executable, "-c", program])
    assert ended.stdout == b"a store in PostgreSQL needs asyncpg: install interlock[postgres]\n"
