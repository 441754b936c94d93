"""Operations share commits, not fates."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from interlock.bus.store.database import Connection
from interlock.bus.store.sqlite import SqliteDatabase
from interlock.bus.store.writer import StoreUnavailableError, Writer


def connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0.05)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("CREATE TABLE IF NOT EXISTS line(text TEXT NOT NULL UNIQUE)")
    return connection


@pytest.fixture
async def writer(path: Path) -> AsyncIterator[Writer]:
    started = Writer(SqliteDatabase(connect(path)), name="test")
    yield started
    await started.aclose()


class Held:
    """An operation that occupies the writer until it is let go, so that others queue up behind it."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._reached = threading.Event()
        self._let_go = threading.Event()

    def _wait(self, _connection: Connection) -> None:
        self._reached.set()
        assert self._let_go.wait(5.0)

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._writer.run(self._wait))
        await anyio.to_thread.run_sync(self._reached.wait, 5.0)

    async def __aexit__(self, *_: object) -> None:
        self._let_go.set()
        await self._task


async def add(writer: Writer, text: str) -> None:
    def operation(connection: Connection) -> None:
        connection.execute("INSERT INTO line VALUES (?)", (text,))

    await writer.run(operation)


async def lines(writer: Writer) -> list[str]:
    return await writer.run(lambda connection: [row[0] for row in connection.execute("SELECT text FROM line")])


async def queued(*tasks: asyncio.Task[None]) -> None:
    """Let tasks run as far as the writer's queue."""
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)


async def test_what_queues_up_during_a_commit_shares_the_next_one(writer: Writer) -> None:
    async with Held(writer):
        tasks = [asyncio.create_task(add(writer, str(number))) for number in range(50)]
        await queued(*tasks)
    await asyncio.gather(*tasks)
    statistics = writer.statistics()
    assert (statistics.operations, statistics.commits) == (51, 2)


async def test_what_is_asked_for_in_one_turn_of_the_loop_is_one_commit(writer: Writer) -> None:
    before = writer.statistics().commits
    async with asyncio.TaskGroup() as tasks:
        for number in range(50):
            tasks.create_task(add(writer, str(number)))
    assert writer.statistics().commits == before + 1


async def test_an_operation_that_fails_leaves_nothing_and_takes_nobody_with_it(writer: Writer) -> None:
    def half(connection: Connection) -> None:
        connection.execute("INSERT INTO line VALUES ('half')")
        connection.execute("INSERT INTO line VALUES (NULL)")

    async with Held(writer):
        tasks = [
            asyncio.create_task(add(writer, "first")),
            asyncio.create_task(writer.run(half)),
            asyncio.create_task(add(writer, "last")),
        ]
        await queued(*tasks)
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [type(None), sqlite3.IntegrityError, type(None)]
    assert await lines(writer) == ["first", "last"]


async def test_a_cancelled_awaiter_harms_neither_its_operation_nor_the_others(writer: Writer) -> None:
    async with Held(writer):
        cancelled = asyncio.create_task(add(writer, "cancelled"))
        other = asyncio.create_task(add(writer, "other"))
        await queued(cancelled, other)
        cancelled.cancel()
    with anyio.fail_after(5.0):
        await other
    assert cancelled.cancelled()
    assert await lines(writer) == ["cancelled", "other"]


async def test_more_than_the_largest_group_takes_several_commits(writer: Writer) -> None:
    async with Held(writer):
        tasks = [asyncio.create_task(add(writer, str(number))) for number in range(600)]
        await queued(*tasks)
    await asyncio.gather(*tasks)
    assert writer.statistics().commits == 3


async def test_closing_writes_what_is_queued_and_then_refuses(path: Path) -> None:
    writer = Writer(SqliteDatabase(connect(path)), name="agent.db")
    async with Held(writer):
        task = asyncio.create_task(add(writer, "queued"))
        await queued(task)
        closing = asyncio.create_task(writer.aclose())
        await queued(closing)
    await asyncio.gather(task, closing)
    await writer.aclose()
    with pytest.raises(StoreUnavailableError, match=r"agent\.db cannot be used: it is closed"):
        await add(writer, "late")
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT text FROM line").fetchall() == [("queued",)]
    connection.close()
    assert repr(writer) == "Writer('agent.db', closed=True, operations=2, commits=2)"


async def test_a_locked_database_fails_the_operation_and_is_used_again_when_free(writer: Writer, path: Path) -> None:
    other = connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError, match="database is locked"):
        await add(writer, "while locked")
    other.execute("ROLLBACK")
    other.close()
    await add(writer, "afterwards")
    assert await lines(writer) == ["afterwards"]


async def test_a_statement_that_the_database_cannot_run_is_told_as_unavailable(writer: Writer) -> None:
    with pytest.raises(StoreUnavailableError, match="no such table: missing") as caught:
        await writer.run(lambda connection: connection.execute("SELECT * FROM missing"))
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


async def test_a_full_disk_fails_the_whole_group_and_later_ones_succeed(writer: Writer) -> None:
    def fill(connection: Connection) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")

    await writer.run(fill)
    async with Held(writer):
        small = asyncio.create_task(add(writer, "small"))
        large = asyncio.create_task(add(writer, "x" * 1_000_000))
        await queued(small, large)
    for task in (small, large):
        with pytest.raises(StoreUnavailableError, match="full"):
            await task
    await writer.run(lambda connection: connection.execute("PRAGMA max_page_count = 1000000").fetchone())
    await add(writer, "small")
    assert await lines(writer) == ["small"]


async def test_a_commit_that_the_database_refuses_fails_its_group_and_only_it(writer: Writer) -> None:
    def relate(connection: Connection) -> None:
        connection.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
        connection.execute("CREATE TABLE child(parent INTEGER REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")

    def orphan(connection: Connection) -> None:
        connection.execute("INSERT INTO child VALUES (7)")

    await writer.run(relate)
    with pytest.raises(StoreUnavailableError, match="FOREIGN KEY constraint failed"):
        await writer.run(orphan)
    await add(writer, "afterwards")
    assert await lines(writer) == ["afterwards"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # its death is the point
async def test_when_the_thread_dies_nobody_waits_for_it(path: Path) -> None:
    reached, everyone_waits = threading.Event(), threading.Event()

    def die(_moment: str) -> None:
        reached.set()
        assert everyone_waits.wait(5.0)
        raise SystemExit

    writer = Writer(SqliteDatabase(connect(path)), name="test", fail_point=die)
    in_the_group = asyncio.create_task(add(writer, "in the group"))
    await anyio.to_thread.run_sync(reached.wait, 5.0)
    behind_it = asyncio.create_task(add(writer, "behind it"))
    await queued(in_the_group, behind_it)
    everyone_waits.set()
    for task in (in_the_group, behind_it):
        with pytest.raises(StoreUnavailableError, match="its writer has ended"):
            await task
    await writer.aclose()
    with pytest.raises(StoreUnavailableError):
        await add(writer, "late")
