"""The schema is built once, step by step, the same for every store; a database of another release is left alone."""

from __future__ import annotations

import shutil
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from bus.store.harness import StoreHarness
from interlock.bus.clock import VirtualClock
from interlock.bus.store.audit import verify_chain
from interlock.bus.store.records import ApprovalState, EffectState, Receipt
from interlock.bus.store.schema import first
from interlock.bus.store.schema.migrating import applied_steps, migrate, migration_statements
from interlock.bus.store.schema.revisions import VERSIONS, known_revisions, missing
from interlock.bus.store.schema.structure import describe, differences
from interlock.bus.store.sql import SqlStore
from interlock.bus.store.sqlite import SqliteDatabase, SqliteStore
from interlock.protocol.errors import UsageError
from store_rows import START, claim_one, incoming

MADE_BY_RELEASE_0_1 = Path(__file__).with_name("made_by_release_0_1.sql")
"""A dump of a store as the numbered migrations before Alembic made it, up to number 6, with rows in every table."""


@pytest.fixture
def database() -> Iterator[SqliteDatabase]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    opened = SqliteDatabase(connection)
    yield opened
    opened.close()


@pytest.fixture
def former(path: Path) -> Path:
    """A store's file as release 0.1 left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(MADE_BY_RELEASE_0_1.read_text())
    return path


def test_revisions_follow_each_other_without_gaps() -> None:
    numbers = [revision.number for revision in known_revisions()]
    assert numbers == list(range(6, 6 + len(numbers)))


def test_migrating_again_changes_nothing(database: SqliteDatabase) -> None:
    assert migrate(database, dialect="sqlite", now=1) == known_revisions()
    before = describe(database.connection, dialect="sqlite")
    assert migrate(database, dialect="sqlite", now=2) == ()
    assert describe(database.connection, dialect="sqlite") == before


async def test_a_store_of_release_0_1_is_taken_over_without_loss(former: Path, clock: VirtualClock) -> None:
    store = await SqliteStore.open(former, agent="devops-agent", clock=clock)
    counts = await store.counts()
    assert (counts.ready, counts.leased, counts.dead, counts.unsent) == (2, 0, 1, 1)  # the lease ended with its owner
    for number in range(5):
        body = b"{}" if number == 0 else b'{"n": %d}' % number
        conversation = f"c{number}"
        assert await store.receive(incoming(f"m{number}", conversation=conversation, body=body)) is Receipt.DUPLICATE
    assert [message.message_id for message in await store.unsent(limit=9)] == ["o2"]
    assert (await store.dead())[0].errors == ("no such cluster",)
    assert [row.version for row in await store.workflows()] == [1]
    assert [row.state for row in await store.approvals()] == [ApprovalState.OPEN]
    trail = await store.audit()
    assert (len(trail), verify_chain(trail)) == (2, None)
    row, new = await store.begin_effect("jira:PROJ-140:comment", request_hash="r1", fence=99)
    assert (row.state, new) == (EffectState.DONE, False)
    claim = await claim_one(store)
    assert (claim.message.message_id, claim.attempt, claim.fence > 5) == ("m4", 2, True)
    await clock.advance(300.0)
    assert await store.fire_timers(START + timedelta(minutes=5)) == 1
    await store.aclose()


def test_a_store_of_release_0_1_becomes_what_a_new_one_is(former: Path, database: SqliteDatabase) -> None:
    migrate(database, dialect="sqlite", now=1)
    with closing(sqlite3.connect(former, isolation_level=None)) as connection:
        connection.row_factory = sqlite3.Row
        taken_over = SqliteDatabase(connection)
        assert [step.number for step in migrate(taken_over, dialect="sqlite", now=2)] == [7, 8]
        expected = describe(database.connection, dialect="sqlite")
        assert differences(describe(connection, dialect="sqlite"), expected) == ()
        assert len(expected) > 100


def test_a_later_schema_is_refused(database: SqliteDatabase) -> None:
    migrate(database, dialect="sqlite", now=1)
    with pytest.raises(UsageError, match="has schema 8, this release knows 7: run the release that wrote it"):
        missing(applied_steps(database.connection, dialect="sqlite"), known_revisions()[:2])


def test_an_edited_migration_is_refused(database: SqliteDatabase, tmp_path: Path) -> None:
    migrate(database, dialect="sqlite", now=1)
    folder = tmp_path / "versions"
    shutil.copytree(VERSIONS, folder)
    (folder / "v0008_replicas.py").write_text("edited")
    with pytest.raises(UsageError, match=r"migration 8 \(replicas\) is not the one"):
        missing(applied_steps(database.connection, dialect="sqlite"), known_revisions(folder))


def test_a_store_from_before_the_first_release_is_refused(database: SqliteDatabase) -> None:
    with pytest.raises(UsageError, match="has schema 3, the oldest that this release takes over is 6"):
        missing({1: "a", 2: "b", 3: "c"}, known_revisions())


def test_a_migration_that_fails_leaves_nothing_of_itself(database: SqliteDatabase) -> None:
    database.connection.execute("CREATE TABLE outbox(mine)")
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(database, dialect="sqlite", now=1)
    assert applied_steps(database.connection, dialect="sqlite") == {}
    assert [row["name"] for row in database.connection.execute("SELECT name FROM sqlite_master")] == ["outbox"]


def test_a_dry_run_shows_every_statement_and_runs_none(database: SqliteDatabase) -> None:
    statements = migration_statements(database.connection, dialect="sqlite")
    assert sum(statement.startswith("CREATE TABLE") for statement in statements) == 14
    assert applied_steps(database.connection, dialect="sqlite") == {}


async def test_a_store_that_is_at_its_head_is_opened_without_alembic(path: Path, clock: VirtualClock) -> None:
    await (await SqliteStore.open(path, agent="devops-agent", clock=clock)).aclose()
    program = (
        "import anyio, sys\n"
        "from interlock.bus.clock import SystemClock\n"
        "from interlock.bus.store.opening import open_store\n"
        "async def main():\n"
        "    await (await open_store(sys.argv[1], agent='devops-agent', clock=SystemClock())).aclose()\n"
        "anyio.run(main)\n"
        "print({'alembic', 'sqlalchemy', 'asyncpg'} & sys.modules.keys())\n"
    )
    ended = await anyio.run_process([sys.executable, "-c", program, str(path)])
    assert ended.stdout == b"set()\n"


async def test_every_store_says_which_steps_it_was_made_with(store: SqlStore, harness: StoreHarness) -> None:
    await store.aclose()
    rows = await anyio.to_thread.run_sync(harness.query, "SELECT number, checksum FROM schema_version ORDER BY number")
    assert rows == [(revision.number, revision.checksum) for revision in known_revisions()]


def test_what_makes_a_new_store_is_written_down_as_alembic_writes_it() -> None:
    assert first.FILE.read_text("utf-8") == first.document(), "run: python -m interlock.bus.store.schema.first"


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
def test_what_was_written_for_other_revisions_is_not_used(dialect: str) -> None:
    known = known_revisions()

    assert first.written_statements(dialect, known) is not None
    assert first.written_statements(dialect, known[:-1]) is None
    assert first.written_statements(dialect, (*known[:-1], replace(known[-1], checksum="0" * 64))) is None
