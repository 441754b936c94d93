"""Each emulated instance has a database server of its own, started from the emulator's thread."""

from __future__ import annotations

import ssl
import tempfile
from functools import partial
from pathlib import Path

import anyio
import asyncpg
import pytest

from interlock.agents.sandbox.database_servers import DatabaseServers
from interlock.agents.sandbox.rds_endpoint import DatabaseBackend
from interlock.protocol.errors import UsageError


async def test_two_instances_share_names_but_neither_password_nor_server() -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with DatabaseServers(Path(directory)) as servers:
            production = await provision(servers, "prod-db", password="production")
            assert await provision(servers, "prod-db", password="production") == production
            rehearsal = await provision(servers, "test-db", password="rehearsal")
            assert rehearsal != production
            await sign_in(servers, production, password="production")
            await sign_in(servers, rehearsal, password="rehearsal")


async def test_spare_servers_are_given_to_the_first_instances() -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with DatabaseServers(Path(directory), spare=1) as servers:
            first = await provision(servers, "first-db", password="first")
            second = await provision(servers, "second-db", password="second")

            assert first != second
            made = {path.name async for path in anyio.Path(directory).iterdir()}
            assert made >= {"spare 1", "second-db"}
            assert "first-db" not in made
            await sign_in(servers, first, password="first")
            await sign_in(servers, second, password="second")


async def test_servers_are_closed_while_a_spare_one_starts() -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with DatabaseServers(Path(directory), spare=2):
            await anyio.lowlevel.checkpoint()


async def test_other_engines_get_a_greeting() -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with DatabaseServers(Path(directory)) as servers:
            host, port = servers.provision("m", engine="mysql", database="app_db", user="app", password="x")
            async with await anyio.connect_tcp(host, port) as stream:
                assert (await stream.receive())[4:5] == b"\x0a"


def test_closed_servers_say_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not open"):
        DatabaseServers(tmp_path).provision("x", engine="postgres", database="a", user="b", password="c")


async def provision(servers: DatabaseBackend, identifier: str, *, password: str) -> tuple[str, int]:
    call = partial(servers.provision, identifier, engine="postgres", database="app_db", user="app", password=password)
    return await anyio.to_thread.run_sync(call)


async def sign_in(servers: DatabaseServers, address: tuple[str, int], *, password: str) -> None:
    host, port = address
    trust = ssl.create_default_context(cafile=str(servers.ca_file))
    connection = await asyncpg.connect(
        host=host, port=port, database="app_db", user="app", password=password, ssl=trust
    )
    await connection.close()
