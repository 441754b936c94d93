"""The sandbox's PostgreSQL is a real one: encrypted only, provisioned from any thread, gone when it should be."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import anyio
import asyncpg
import pytest

from interlock.agents.sandbox.certificates import CertificateAuthority
from interlock.agents.sandbox.mysql_greeting import MySqlGreeting
from interlock.agents.sandbox.postgres import PostgresServer, find_postgres
from interlock.protocol.errors import PermanentError, UsageError


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def server(anyio_backend: str) -> AsyncIterator[PostgresServer]:
    with tempfile.TemporaryDirectory() as directory:
        async with PostgresServer(Path(directory)) as server:
            yield server


async def provision(server: PostgresServer, *, database: str, user: str, password: str) -> None:
    await anyio.to_thread.run_sync(
        partial(server.provision, "prod-db", engine="postgres", database=database, user=user, password=password)
    )


async def connect(server: PostgresServer, *, database: str, user: str, password: str, tls: bool) -> str:
    trust = ssl.create_default_context(cafile=str(server.ca_file))
    connection = await asyncpg.connect(
        host="127.0.0.1", port=server.port, database=database, user=user, password=password, ssl=trust if tls else False
    )
    try:
        return str(await connection.fetchval("SELECT current_user || '@' || current_database()"))
    finally:
        await connection.close()


async def test_a_provisioned_user_gets_in_over_tls_only(server: PostgresServer) -> None:
    await provision(server, database="app_db", user="app_admin", password='it\'s \\ "quoted"')
    login = partial(connect, server, database="app_db", user="app_admin", password='it\'s \\ "quoted"')
    assert await login(tls=True) == "app_admin@app_db"
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError, match="no encryption"):
        await login(tls=False)


async def test_provisioning_again_changes_only_the_password(server: PostgresServer) -> None:
    await provision(server, database="again", user="again", password="first")
    await provision(server, database="again", user="again", password="second")
    assert await connect(server, database="again", user="again", password="second", tls=True) == "again@again"
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(server, database="again", user="again", password="first", tls=True)


async def test_many_threads_may_provision_at_once(server: PostgresServer) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(8):
            tasks.start_soon(
                partial(provision, server, database=f"db{number % 2}", user=f"user{number % 2}", password="same")
            )
    assert await connect(server, database="db1", user="user1", password="same", tls=True) == "user1@db1"


async def test_a_database_of_another_role_is_not_taken_over(server: PostgresServer) -> None:
    await provision(server, database="owned", user="owner", password="x")
    with pytest.raises(PermanentError, match="belongs to owner, not to thief"):
        await provision(server, database="owned", user="thief", password="x")


@pytest.mark.parametrize("name", ['x"; DROP DATABASE postgres; --', "", "ü", "a" * 64])
async def test_names_that_are_no_plain_words_are_refused(server: PostgresServer, name: str) -> None:
    with pytest.raises(UsageError, match="not a plain name"):
        await provision(server, database=name, user="app", password="x")


async def test_another_engine_is_refused(server: PostgresServer) -> None:
    with pytest.raises(UsageError, match="not mysql"):
        server.provision("prod-db", engine="mysql", database="app_db", user="app", password="x")


async def test_no_password_is_printed(server: PostgresServer) -> None:
    assert repr(server) == f"PostgresServer(127.0.0.1:{server.port}, running)"
    assert "PRIVATE" not in repr(CertificateAuthority("x").issue("y"))


async def test_a_stopped_server_is_gone_and_says_so() -> None:
    with tempfile.TemporaryDirectory() as directory:
        server = PostgresServer(Path(directory))
        await server.start()
        pid = server.pid
        await server.aclose()
        await server.aclose()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(UsageError, match="start it first"):
        server.provision("prod-db", engine="postgres", database="app_db", user="app", password="x")


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's parent-death signal is Linux's own")
async def test_not_even_a_killed_parent_leaves_a_server_behind() -> None:
    parent = (
        "import anyio, pathlib, sys\n"
        "from interlock.agents.sandbox.postgres import PostgresServer\n"
        "async def main():\n"
        "    async with PostgresServer(pathlib.Path(sys.argv[1])) as server:\n"
        "        print(server.pid, flush=True)\n"
        "        await anyio.sleep_forever()\n"
        "anyio.run(main)\n"
    )
    with tempfile.TemporaryDirectory() as directory:
        # Where the server's own account may enter, nothing lies outside this directory, even after a kill.
        await anyio.Path(directory).chmod(0o755)
        async with await anyio.open_process(
            [sys.executable, "-c", parent, directory], stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            pid = int(await process.stdout.receive())
            descriptor = os.pidfd_open(pid)
            process.kill()
            with anyio.fail_after(10):
                await anyio.wait_readable(descriptor)
            os.close(descriptor)


def test_without_postgresql_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="install PostgreSQL's server"):
        find_postgres(releases=tmp_path)


async def test_the_mysql_greeting_lets_nobody_in() -> None:
    async with MySqlGreeting() as greeting:
        host, port = greeting.provision("prod-db", engine="mariadb", database="app_db", user="app", password="x")
        async with await anyio.connect_tcp(host, port) as stream:
            hello = await stream.receive()
            assert hello[4:5] == b"\x0a"
            await stream.send(b"\x01\x00\x00\x01\x00")
            refusal = await stream.receive()
    assert refusal[4:5] == b"\xff"
    assert b"nobody can log in" in refusal
