"""A second, reading connection beside the owner of a store."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from interlock.bus.clock import VirtualClock
from interlock.bus.store.reading import StoreReader
from interlock.bus.store.records import AuditEntry, Commit, TimerRow
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.store.writer import StoreUnavailableError
from interlock.protocol.errors import UsageError
from store_rows import START, approval, claim_one, incoming, workflow


async def filled(path: Path) -> SqliteStore:
    store = await SqliteStore.open(path, agent="coordinator", clock=VirtualClock())
    await store.receive(incoming("m-1"))
    await store.commit(
        Commit(
            workflow=workflow(1),
            approvals=(approval(),),
            set_timers=(
                TimerRow("proj-140", "later", START + timedelta(hours=2)),
                TimerRow("proj-140", "overdue", START + timedelta(hours=1)),
                TimerRow("proj-141", "overdue", START),
            ),
            audit=(AuditEntry("proj-140", "console", "requested", {"by": "alice"}),),
        )
    )
    return store


async def test_everything_is_seen_while_the_owner_is_at_work(tmp_path: Path) -> None:
    path = tmp_path / "a?b#c%20.sqlite"
    store = await filled(path)
    with StoreReader.open(path) as reader:
        assert reader.workflows() == await store.workflows()
        assert reader.workflow("proj-140") == await store.workflow("proj-140")
        assert reader.approvals() == await store.approvals()
        assert reader.approvals(conversation_id="proj-141") == ()
        assert reader.approval(approval().id) == approval()
        assert reader.audit(conversation_id="proj-140") == await store.audit()
        assert [timer.name for timer in reader.timers("proj-140")] == ["overdue", "later"]
        assert reader.inbox_state("m-1") == "ready"
        assert reader.claimable(START) == 1
        claim = await claim_one(store)
        assert reader.inbox_state("m-1") == "leased"
        assert reader.claimable(START) == 0
        await store.finish(claim, Commit(workflow=workflow(2, status="done", ended=True)))
        assert reader.inbox_state("m-1") == "done"
        assert reader.inbox_state("m-2") is None
        assert reader.consequences("m-1") == ()
        found = reader.workflow("proj-140")
    assert found is not None
    assert (found.status, found.version) == ("done", 2)
    await store.aclose()


async def test_a_reader_keeps_no_owner_out_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await (await filled(path)).aclose()
    before = path.read_bytes()
    with StoreReader.open(path) as reader:
        assert len(reader.workflows()) == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._database.connection.execute("DELETE FROM workflow")  # pyright: ignore[reportPrivateUsage] - that it cannot
        store = await SqliteStore.open(path, agent="coordinator", clock=VirtualClock())
        await store.aclose()
    assert before[:16] == b"SQLite format 3\0"
    with StoreReader.open(path) as reader:
        assert len(reader.workflows()) == 1


def test_a_file_that_is_missing_is_a_usage_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no store"):
        StoreReader.open(tmp_path / "missing.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "text.sqlite"
    path.write_text("not a database, but long enough to be taken for one" * 20)
    with pytest.raises(StoreUnavailableError, match=r"text\.sqlite cannot be read"):
        StoreReader.open(path)


def test_another_programs_database_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE something(a)")
    connection.close()
    with pytest.raises(UsageError, match="is not an agent's store"):
        StoreReader.open(path)


async def test_a_store_of_another_release_is_a_usage_error(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    await (await filled(path)).aclose()
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("INSERT INTO schema_version VALUES (1000, 'later', '', 0)")
    connection.close()
    with pytest.raises(UsageError, match="has schema 1000, this release reads"):
        StoreReader.open(path)
