"""`interlock store`, and what other commands see when the agents' stores are in PostgreSQL."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

from agents.cli.running import interlock
from interlock.bus.clock import SystemClock
from interlock.bus.private_postgres import PrivatePostgres
from interlock.bus.store.opening import open_store
from interlock.bus.store.sql import SqlStore
from interlock.protocol.roles import COORDINATOR, TEAM
from store_rows import claim_one, incoming


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERLOCK_STATE_DIR", str(tmp_path))
    for name in ("INTERLOCK_CONFIG", "INTERLOCK_BROKER_URL", "INTERLOCK_STORE_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivatePostgres]:
    private = PrivatePostgres(tmp_path_factory.mktemp("server"))
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(private):
        yield private


def work(address: str, agent: str, step: Callable[[SqlStore], Awaitable[None]]) -> None:
    """Open a store, do something with it, and close it."""

    async def run() -> None:
        store = await open_store(address, agent=agent, clock=SystemClock())
        await step(store)
        await store.aclose()

    anyio.run(run)


async def give_up(store: SqlStore) -> None:
    await store.receive(incoming("0199aaaa-0000-7000-8000-000000000001"))
    await store.bury(await claim_one(store), error="the disk was full")


def test_files_are_made_checked_and_found_wrong(here: Path) -> None:
    assert interlock("store", "check", "qa-agent").exit_code == 2
    shown = interlock("store", "migrate", "--sql", "qa-agent")
    assert "CREATE TABLE inbox" in shown.stdout
    assert not (here / "qa-agent.sqlite").exists()
    shown = interlock("store", "migrate", "qa-agent")
    assert shown.stdout == "qa-agent: migrated: 6 baseline, 7 repairs, 8 replicas\n"
    assert interlock("store", "migrate", "qa-agent").stdout == "qa-agent: nothing to do\n"
    assert interlock("store", "check", "qa-agent").stdout == "qa-agent: schema 8, no problems\n"
    with closing(sqlite3.connect(here / "qa-agent.sqlite", isolation_level=None)) as connection:
        connection.execute("DROP INDEX outbox_unsent")
    shown = interlock("store", "check", "--json", "qa-agent")
    assert shown.exit_code == 1
    assert json.loads(shown.stdout)[0]["problems"] == ["index outbox_unsent is missing"]


def test_copying_needs_somewhere_to_copy_to(here: Path) -> None:
    interlock("store", "migrate", "qa-agent")
    shown = interlock("store", "copy", "qa-agent")
    assert shown.exit_code == 2
    assert "give a postgresql:// URL" in shown.stderr


@pytest.mark.postgres
def test_commands_read_and_repair_stores_in_postgresql(here: Path, server: PrivatePostgres) -> None:
    settings = {"INTERLOCK_STORE_URL": server.url()}
    assert interlock("workflows", "list", settings=settings).exit_code == 2
    shown = interlock("store", "migrate", settings=settings)
    assert shown.stdout.count("migrated") == len(TEAM)
    assert interlock("store", "check", settings=settings).stdout.count("no problems") == len(TEAM)
    work(server.url(), COORDINATOR, give_up)
    assert interlock("workflows", "list", settings=settings).exit_code == 0
    shown = interlock("dead", "list", settings=settings)
    assert "1 x the disk was full" in shown.stdout, shown.stderr
    shown = interlock("dead", "retry", "coordinator/1", "--as", "kim", settings=settings)
    assert shown.exit_code == 0, shown.stderr

    async def look(store: SqlStore) -> None:
        assert (await claim_one(store)).message.message_id == "0199aaaa-0000-7000-8000-000000000001"

    work(server.url(), COORDINATOR, look)
    assert server.password not in shown.stdout + shown.stderr


@pytest.mark.parametrize("url", ["mysql://db/interlock", "postgresql://db", "postgresql://[db/x"])
def test_what_is_no_databases_address_is_refused_without_repeating_it(here: Path, url: str) -> None:
    shown = interlock("store", "check", settings={"INTERLOCK_STORE_URL": url})
    assert shown.exit_code == 2
    assert "an address like postgresql://user:password@host:5432/database is required" in shown.stderr
    assert url not in shown.stderr
