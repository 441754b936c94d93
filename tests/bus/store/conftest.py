"""A fresh store under a clock that stands still: in a file, and in a PostgreSQL that the session shares."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from bus.store.harness import PostgresHarness, SqliteHarness, StoreHarness
from interlock.bus.clock import VirtualClock
from interlock.bus.private_postgres import PrivatePostgres
from interlock.bus.store.sql import SqlStore
from interlock.bus.store.sqlite import SqliteStore


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    """A running server, shared by the session; every test has a database of its own."""
    server = PrivatePostgres(tmp_path_factory.mktemp("postgres"))
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(server):
        yield server


@pytest.fixture
def postgres_harness(postgres: PrivatePostgres) -> PostgresHarness:
    """A database of PostgreSQL's alone, for what only it does."""
    return PostgresHarness(postgres)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def harness(request: pytest.FixtureRequest, path: Path) -> StoreHarness:
    """Each kind of store in turn, still empty."""
    if request.param == "sqlite":
        return SqliteHarness(path)
    server: PrivatePostgres = request.getfixturevalue("postgres")
    return PostgresHarness(server)


@pytest.fixture
async def store(harness: StoreHarness, clock: VirtualClock) -> AsyncIterator[SqlStore]:
    """Each kind of store in turn, open."""
    opened = await harness.open(clock)
    yield opened
    await opened.aclose()


@pytest.fixture
async def sqlite_store(path: Path, clock: VirtualClock) -> AsyncIterator[SqliteStore]:
    """A file alone, for what only it does."""
    opened = await SqliteStore.open(path, agent="devops-agent", clock=clock)
    yield opened
    await opened.aclose()
