"""What the doctor says of agents' stores: real files, held by real processes, with real rows in them."""

from __future__ import annotations

import os
import sqlite3
import sys
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from interlock.agents.doctor import Finding, Verdict, Ward, examine
from interlock.agents.doctor.stores import StoresCheck
from interlock.agents.settings import Settings
from interlock.bus.clock import VirtualClock
from interlock.bus.store.records import Commit, InboxMessage, OutboxMessage, TimerRow
from interlock.bus.store.sqlite import SqliteStore
from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.ids import new_id

CLOCK = VirtualClock()


async def look(folder: Path, *, later: float = 0.0) -> list[Finding]:
    clock = VirtualClock(CLOCK.now() + timedelta(seconds=later))
    ward = Ward(Settings.load({"state_dir": folder}), catalogue=CATALOGUE, clock=clock, listening=0)
    (examination,) = await examine(ward, checks=[StoresCheck()])
    return list(examination.findings)


async def opened(folder: Path, agent: str = "qa-agent") -> SqliteStore:
    return await SqliteStore.open(folder / f"{agent}.sqlite", agent=agent, clock=CLOCK)


async def received(store: SqliteStore) -> None:
    await store.receive(
        InboxMessage(new_id(), "devops-agent", "ping", new_id(), b"secret content", received_at=CLOCK.now())
    )


async def test_a_store_that_is_held_by_its_process_is_well(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    (finding,) = await look(tmp_path)
    await store.aclose()

    assert (finding.verdict, finding.evidence) == (Verdict.OK, f"process {os.getpid()} has it; 0 workflows are open")


async def test_a_lock_that_a_dead_process_left_is_nobody_s(tmp_path: Path) -> None:
    program = (
        "import anyio, os, sys\n"
        "from interlock.bus.clock import SystemClock\n"
        "from interlock.bus.store.sqlite import SqliteStore\n"
        "async def die():\n"
        "    await SqliteStore.open(sys.argv[1], agent='qa-agent', clock=SystemClock())\n"
        "    os.kill(os.getpid(), 9)\n"
        "anyio.run(die)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "qa-agent.sqlite")]
    killed = await anyio.run_process(command, check=False)
    assert killed.returncode == -9
    assert (tmp_path / "qa-agent.sqlite.lock").read_text().strip().isdigit()

    (finding,) = await look(tmp_path)

    assert finding.evidence.startswith("no process has it")


async def test_dead_messages_are_counted_and_not_shown(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await received(store)
    (claim,) = await store.claim(limit=1, lease=30)
    await store.bury(claim, error="a secret in an error")
    (finding,) = await look(tmp_path)
    await store.aclose()

    assert (finding.verdict, finding.evidence) == (Verdict.WARNING, "1 messages were given up")
    assert "interlock dead list --agent qa-agent" in (finding.advice or "")
    assert "secret" not in repr(finding)


async def test_what_waits_in_a_store_without_a_process_is_told(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    await received(store)
    await store.aclose()

    (finding,) = await look(tmp_path)

    assert finding.verdict is Verdict.WARNING
    assert finding.evidence == "no process has it, 1 messages and 0 workflows wait"


async def test_late_messages_and_timers_are_failed(tmp_path: Path) -> None:
    store = await opened(tmp_path)
    conversation = new_id()
    message = OutboxMessage(new_id(), "devops-agent", "ping", conversation, b"{}", created_at=CLOCK.now())
    timer = TimerRow(conversation, "deadline", CLOCK.now() + timedelta(seconds=10))
    await store.commit(Commit(outgoing=(message,), set_timers=(timer,)))

    early = await look(tmp_path, later=30)
    late = await look(tmp_path, later=200)
    await store.aclose()

    assert [finding.verdict for finding in early] == [Verdict.OK]
    assert [finding.verdict for finding in late] == [Verdict.FAILED, Verdict.FAILED]
    assert late[0].evidence == "1 messages wait to be sent, the oldest for 200 s"
    assert late[1].evidence.startswith("1 timers are overdue, the oldest by 190 s")


async def test_a_store_of_a_later_release_is_failed(tmp_path: Path) -> None:
    await (await opened(tmp_path)).aclose()
    with sqlite3.connect(tmp_path / "qa-agent.sqlite") as connection:
        connection.execute("INSERT INTO schema_version VALUES (999, 'later', '', 0)")
    connection.close()

    (finding,) = await look(tmp_path)

    assert finding.verdict is Verdict.FAILED
    assert "schema 999" in finding.evidence


async def test_a_file_that_is_no_database_is_failed(tmp_path: Path) -> None:
    (tmp_path / "qa-agent.sqlite").write_bytes(b"nonsense" * 1000)

    (finding,) = await look(tmp_path)

    assert finding.verdict is Verdict.FAILED
    assert "cannot be" in finding.evidence


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file, but for those by which SQLite lets processes read beside each other."""
    return {file.name: file.read_bytes() for file in folder.iterdir() if not file.name.endswith(("-wal", "-shm"))}


async def test_looking_changes_no_file(tmp_path: Path) -> None:
    await (await opened(tmp_path)).aclose()
    before = contents(tmp_path)

    await look(tmp_path)

    assert contents(tmp_path) == before


async def test_a_folder_without_stores_is_unknown_not_well(tmp_path: Path) -> None:
    (finding,) = await look(tmp_path)

    assert finding.verdict is Verdict.UNKNOWN


@pytest.fixture(autouse=True)
def no_settings_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
