"""A file has one owner at a time, and a new owner starts where the former one's commits ended."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import anyio
import pytest

from interlock.bus.clock import SystemClock, VirtualClock
from interlock.bus.errors import LeaseLostError, StoreBusyError
from interlock.bus.store.lock import FileLock
from interlock.bus.store.moments import from_micros, to_micros
from interlock.bus.store.port import Store
from interlock.bus.store.records import Commit, StoreCounts
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.store.writer import StoreUnavailableError
from interlock.protocol.errors import UsageError
from store_rows import START, claim_one, incoming, outgoing, workflow

OWNER = """
import sys
from pathlib import Path
from interlock.bus.store.lock import FileLock
lock = FileLock.acquire(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


async def reopen(sqlite_store: SqliteStore, path: Path, clock: VirtualClock) -> SqliteStore:
    await sqlite_store.aclose()
    return await SqliteStore.open(path, agent="devops-agent", clock=clock)


async def test_it_is_a_store(sqlite_store: SqliteStore, path: Path) -> None:
    port: Store = sqlite_store
    assert repr(port) == f"SqliteStore({str(path)!r}, agent='devops-agent', epoch=1)"


async def test_a_second_process_is_refused_by_file_and_holder(path: Path) -> None:
    owner = await asyncio.create_subprocess_exec(
        sys.executable, "-c", OWNER, str(path), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert owner.stdout is not None
    assert await owner.stdout.readline() == b"held\n"
    with pytest.raises(StoreBusyError, match=rf"agent\.db belongs to process {owner.pid}"):
        await SqliteStore.open(path, agent="devops-agent", clock=SystemClock())
    owner.kill()
    await owner.communicate()
    store = await SqliteStore.open(path, agent="devops-agent", clock=SystemClock())
    await store.aclose()


async def test_even_the_same_process_opens_a_file_once(
    sqlite_store: SqliteStore, path: Path, clock: VirtualClock
) -> None:
    with pytest.raises(StoreBusyError, match=f"process {os.getpid()}"):
        await SqliteStore.open(path, agent="devops-agent", clock=clock)


def test_a_lock_is_released_once_and_may_be_released_again(path: Path) -> None:
    lock = FileLock.acquire(path)
    assert "held=True" in repr(lock)
    lock.release()
    lock.release()
    FileLock.acquire(path).release()
    assert "held=False" in repr(lock)


async def test_another_agents_file_is_refused_and_stays_usable(
    sqlite_store: SqliteStore, path: Path, clock: VirtualClock
) -> None:
    await sqlite_store.aclose()
    with pytest.raises(UsageError, match="belongs to devops-agent, not to qa-agent"):
        await SqliteStore.open(path, agent="qa-agent", clock=clock)
    again = await SqliteStore.open(path, agent="devops-agent", clock=clock)
    assert again.epoch == 2
    await again.aclose()


async def test_a_file_that_is_no_database_is_refused(path: Path, clock: VirtualClock) -> None:
    await anyio.Path(path).write_bytes(b"not a database, " * 100)
    with pytest.raises(StoreUnavailableError, match="file is not a database"):
        await SqliteStore.open(path, agent="devops-agent", clock=clock)


async def test_a_place_that_holds_no_file_is_refused(path: Path, clock: VirtualClock) -> None:
    await anyio.Path(path).mkdir()
    with pytest.raises(StoreUnavailableError, match="cannot be opened"):
        await SqliteStore.open(path, agent="devops-agent", clock=clock)


async def test_the_file_is_for_its_owner_only(sqlite_store: SqliteStore, path: Path) -> None:
    for file in (path, path.with_name("agent.db-wal"), path.with_name("agent.db.lock")):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


async def test_a_new_owner_voids_the_leases_of_the_former_at_once_and_counts_the_attempt(
    sqlite_store: SqliteStore, path: Path, clock: VirtualClock
) -> None:
    await sqlite_store.receive(incoming("m1"))
    former = await claim_one(sqlite_store)
    sqlite_store = await reopen(sqlite_store, path, clock)
    claim = await claim_one(sqlite_store)
    assert (claim.attempt, claim.fence > former.fence) == (2, True)
    with pytest.raises(LeaseLostError):
        await sqlite_store.finish(former, Commit())
    await sqlite_store.bury(claim, error="enough")
    assert (await sqlite_store.dead())[0].errors == ("the process ended during the attempt", "enough")
    await sqlite_store.aclose()


async def test_everything_committed_is_there_after_reopening(
    sqlite_store: SqliteStore, path: Path, clock: VirtualClock
) -> None:
    await sqlite_store.receive(incoming("m1"))
    await sqlite_store.commit(Commit(outgoing=(outgoing("o1"),), workflow=workflow(1)))
    sqlite_store = await reopen(sqlite_store, path, clock)
    assert await sqlite_store.counts() == StoreCounts(ready=1, leased=0, dead=0, unsent=1, conversations={"planned": 1})
    await sqlite_store.aclose()


async def test_a_closed_store_says_so_and_may_be_closed_again(sqlite_store: SqliteStore) -> None:
    await sqlite_store.aclose()
    await sqlite_store.aclose()
    with pytest.raises(StoreUnavailableError, match="it is closed"):
        await sqlite_store.counts()


async def test_concurrent_work_shares_commits(sqlite_store: SqliteStore) -> None:
    async def work(number: int) -> None:
        for turn in range(4):
            await sqlite_store.receive(incoming(f"{number}-{turn}", conversation=f"c{number}"))

    await asyncio.gather(*(work(number) for number in range(32)))
    statistics = sqlite_store.statistics()
    assert statistics.operations == 128
    assert statistics.operations / statistics.commits > 4


async def test_an_empty_store_has_nothing_due(sqlite_store: SqliteStore) -> None:
    assert await sqlite_store.next_due() is None
    assert await sqlite_store.counts() == StoreCounts(0, 0, 0, 0)


async def test_pruning_takes_chunks_and_leaves_what_is_open(sqlite_store: SqliteStore, clock: VirtualClock) -> None:
    for number in range(600):
        await sqlite_store.receive(incoming(f"m{number}", conversation=f"c{number}"))
    for claim in await sqlite_store.claim(limit=599, lease=30.0):
        await sqlite_store.finish(claim, Commit())
    await clock.advance(1.0)
    assert await sqlite_store.prune(clock.now()) == 599
    assert await sqlite_store.prune(clock.now()) == 0
    assert (await sqlite_store.counts()).ready == 1


async def test_no_body_stands_in_an_error(sqlite_store: SqliteStore) -> None:
    await sqlite_store.commit(Commit(outgoing=(outgoing("o1", body=b"canary-one"),)))
    with pytest.raises(Exception, match="o1") as caught:
        await sqlite_store.commit(Commit(outgoing=(outgoing("o1", body=b"canary-two"),)))
    assert "canary" not in repr(caught.value)


def test_moments_survive_the_database_to_the_microsecond() -> None:
    moment = START.replace(microsecond=999_999)
    assert from_micros(to_micros(moment)) == moment


async def test_the_file_has_the_promised_durability(sqlite_store: SqliteStore, path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)


async def test_a_file_whose_folder_is_missing_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailableError, match="No such file or directory"):
        await SqliteStore.open(tmp_path / "missing" / "agent.db", agent="devops-agent", clock=SystemClock())
