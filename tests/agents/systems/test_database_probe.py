"""The probe against real servers: what passes is proven, what was not reached is unknown."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
import anyio.abc
import pytest
from anyio.streams.tls import TLSStream
from pydantic import SecretStr

from interlock.agents.sandbox.certificates import CertificateAuthority
from interlock.agents.sandbox.mysql_greeting import MySqlGreeting
from interlock.agents.sandbox.postgres import PostgresServer
from interlock.agents.systems.database_probe import LEVELS, probe
from interlock.protocol.infrastructure import DatabaseEngine
from interlock.protocol.values import CheckResult

PASSWORD = SecretStr("canary-77a1'\\")
SSL_REQUEST = bytes.fromhex("0000000804d2162f")
ASK_FOR_CLEAR_TEXT_PASSWORD = b"R" + bytes.fromhex("0000000800000003")


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def server(anyio_backend: str) -> AsyncIterator[PostgresServer]:
    with tempfile.TemporaryDirectory() as directory:
        async with PostgresServer(Path(directory)) as server:
            await anyio.to_thread.run_sync(
                partial(
                    server.provision,
                    "prod-db",
                    engine="postgres",
                    database="app_db",
                    user="app_admin",
                    password=PASSWORD.get_secret_value(),
                )
            )
            yield server


def verdicts(checks: tuple[CheckResult, ...]) -> dict[str, str]:
    return {check.id: check.verdict.value for check in checks}


def postgres(port: int) -> Callable[..., Awaitable[tuple[CheckResult, ...]]]:
    return partial(
        probe,
        engine=DatabaseEngine.POSTGRES,
        host="127.0.0.1",
        port=port,
        database="app_db",
        user="app_admin",
        password=PASSWORD,
        timeout=5,
    )


async def test_every_level_of_a_real_server_is_proven(server: PostgresServer) -> None:
    checks = await postgres(server.port)(ca_file=server.ca_file)
    assert verdicts(checks) == dict.fromkeys(LEVELS, "pass")
    evidence = {check.id: check.evidence for check in checks}
    assert evidence["tls"].startswith("TLSv1.3 ")
    assert "refused with SQLSTATE 28000" in evidence["tls"]
    assert evidence["query"].startswith("PostgreSQL ")
    assert PASSWORD.get_secret_value() not in repr(checks)


async def test_a_wrong_password_fails_the_login_and_leaves_the_query_unknown(server: PostgresServer) -> None:
    checks = await postgres(server.port)(ca_file=server.ca_file, password=SecretStr("wrong"))
    assert verdicts(checks)["tls"] == "pass"
    assert verdicts(checks)["login"] == "fail"
    assert verdicts(checks)["query"] == "unknown"
    assert "28P01" in checks[3].evidence


@pytest.mark.parametrize("other_authority", [True, False])
async def test_no_password_is_sent_to_a_server_that_is_not_trusted(
    server: PostgresServer, tmp_path: Path, other_authority: bool
) -> None:
    ca_file = tmp_path / "other.pem" if other_authority else None
    if ca_file is not None:
        ca_file.write_bytes(CertificateAuthority("somebody else").certificate)
    checks = await postgres(server.port)(ca_file=ca_file)
    assert verdicts(checks)["tls"] == "fail"
    assert verdicts(checks)["login"] == "unknown"


async def test_a_closed_port_leaves_everything_above_it_unknown(free_tcp_port: int) -> None:
    assert list(verdicts(await postgres(free_tcp_port)()).values()) == ["fail", *["unknown"] * 4]


async def test_a_server_that_says_nothing_is_given_up_in_time() -> None:
    async def silent(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            async for _ in stream:
                continue

    async with _listening(silent) as port:
        with anyio.fail_after(3):
            checks = await postgres(port)(timeout=0.2)
    assert verdicts(checks)["greeting"] == "fail"
    assert "no answer in 0.2 s" in checks[1].evidence


async def test_a_server_that_takes_plain_text_fails_where_tls_is_required(tmp_path: Path) -> None:
    authority = CertificateAuthority("lenient")
    issued = authority.issue("lenient")
    for name, content in (("ca", authority.certificate), ("crt", issued.certificate), ("key", issued.key)):
        await anyio.Path(tmp_path / name).write_bytes(content)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    heard: list[bytes] = []

    async def lenient(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                if await stream.receive(8) == SSL_REQUEST:
                    await stream.send(b"S")
                    await TLSStream.wrap(stream, server_side=True, ssl_context=context, standard_compatible=False)
                else:
                    await stream.send(ASK_FOR_CLEAR_TEXT_PASSWORD)
                    heard.extend([chunk async for chunk in stream])

    async with _listening(lenient) as port:
        checks = await postgres(port)(ca_file=tmp_path / "ca")
    assert verdicts(checks)["tls"] == "fail"
    assert "plain text is not refused" in checks[2].evidence
    assert PASSWORD.get_secret_value().encode() not in b"".join(heard)


async def test_a_greeting_proves_mysql_reachable_and_nothing_more() -> None:
    async with MySqlGreeting() as mysql:
        host, port = mysql.provision("prod-db", engine="mysql", database="app_db", user="app", password="x")
        checks = await probe(
            engine=DatabaseEngine.MYSQL,
            host=host,
            port=port,
            database="app_db",
            user="app",
            password=PASSWORD,
        )
    assert list(verdicts(checks).values()) == ["pass", "pass", "unknown", "unknown", "unknown"]
    assert "protocol 10, version 8.0.0-interlock-greeting, TLS not offered" in checks[1].evidence


async def test_another_protocol_is_no_database() -> None:
    async def web_server(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with _listening(web_server) as port:
        checks = await postgres(port)()
    assert verdicts(checks)["greeting"] == "fail"
    assert "no PostgreSQL" in checks[1].evidence


@asynccontextmanager
async def _listening(handler: Callable[[anyio.abc.SocketStream], Awaitable[None]]) -> AsyncGenerator[int]:
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handler)
        yield listener.extra_attributes[anyio.abc.SocketAttribute.local_port]()
        tasks.cancel_scope.cancel()
