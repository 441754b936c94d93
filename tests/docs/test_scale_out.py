"""docs/how-to/scale-out.md, followed: schemas, users with the least rights, and a file that moves."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio.to_thread
import pytest
from anyio.from_thread import start_blocking_portal

from docs.snippets import ROOT, named_blocks
from interlock.bus.clock import SystemClock
from interlock.bus.private_postgres import PrivatePostgres
from interlock.bus.store.opening import open_store
from interlock.bus.store.postgres.address import PostgresAddress
from interlock.bus.store.postgres.database import PostgresDatabase
from interlock.bus.store.records import Commit
from interlock.protocol.roles import TEAM
from store_rows import incoming, outgoing, workflow

pytestmark = [pytest.mark.postgres, pytest.mark.slow]

BLOCKS = named_blocks(ROOT / "docs" / "how-to" / "scale-out.md")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrivatePostgres]:
    private = PrivatePostgres(tmp_path / "server")
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(private) as server:
        yield server


def follow(block: str, folder: Path, server: PrivatePostgres) -> str:
    """Run a block's commands in a folder, as they stand."""
    environment = {**os.environ, "INTERLOCK_STORE_URL": server.url()}
    said = ""
    for line in BLOCKS[f"run: {block}"].splitlines():
        program, *arguments = shlex.split(line)
        assert program == "interlock"
        command = [sys.executable, "-m", "interlock.agents.cli", *arguments]
        ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        said += ended.stdout
    return said


async def test_an_agent_moves_and_goes_on_with_rights_to_its_own_schema_only(
    server: PrivatePostgres, tmp_path: Path
) -> None:
    folder, clock = tmp_path / "here", SystemClock()
    (folder / ".interlock").mkdir(parents=True)
    for agent in TEAM:
        file = await open_store(folder / ".interlock" / f"{agent}.sqlite", agent=agent, clock=clock)
        await file.receive(incoming("m1"))
        await file.commit(Commit(outgoing=(outgoing("o1"),), workflow=workflow(1)))
        await file.aclose()

    said = await anyio.to_thread.run_sync(follow, "migrate", folder, server)
    assert "CREATE TABLE inbox" in said
    assert said.count("migrated: 6 baseline, 7 repairs, 8 replicas") == len(TEAM)
    assert said.count("schema 8, no problems") == len(TEAM)

    def make_user() -> None:
        owner = PostgresDatabase(PostgresAddress(server.url(), "devops-agent"), announcer="")
        for statement in BLOCKS["file: user.sql"].split(";\n"):
            if statement.strip():
                owner.execute(statement)
        owner.close()

    await anyio.to_thread.run_sync(make_user)
    said = await anyio.to_thread.run_sync(follow, "copy", folder, server)
    assert said.count("rows copied from .interlock/") == len(TEAM)

    url = f"postgresql://{{agent}}:choose-one@127.0.0.1:{server.port}/postgres"
    store = await open_store(url, agent="devops-agent", clock=clock)
    counts = await store.counts()
    assert (counts.ready, counts.unsent, counts.conversations) == (1, 1, {"planned": 1})
    (claim,) = await store.claim(limit=9, lease=30.0)
    await store.finish(claim, Commit(workflow=workflow(2)))
    await store.aclose()

    def peep() -> None:
        intruder = PostgresDatabase(PostgresAddress(url.replace("{agent}", "devops-agent"), "qa-agent"), announcer="")
        try:
            with pytest.raises(Exception, match=r"does not exist|permission denied"):
                intruder.execute('SELECT * FROM "qa-agent".inbox')
        finally:
            intruder.close()

    await anyio.to_thread.run_sync(peep)
