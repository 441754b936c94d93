"""Whether a database can really be used from here, level by level: reachable, greeting, TLS, login, query.

It knows no cloud and no ticket. A level that was not reached is unknown, with the reason. The password is only ever
sent over a connection whose certificate was verified.

Sources: PostgreSQL 17, "Frontend/Backend Protocol" (SSLRequest, StartupMessage, ErrorResponse); MySQL client/server
protocol (`HandshakeV10`).
"""

from __future__ import annotations

__all__ = ["LEVELS", "probe"]

import math
import re
import secrets
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.abc
import asyncpg
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSAttribute, TLSStream
from pydantic import SecretStr

from interlock.agents.systems.outside import calling
from interlock.protocol.infrastructure import DatabaseEngine
from interlock.protocol.values import CheckResult, CheckVerdict

LEVELS = {
    "reachable": "The port accepts connections",
    "greeting": "The server speaks the engine's protocol",
    "tls": "The connection is encrypted",
    "login": "The credentials are accepted",
    "query": "A table can be written and read back",
}
"""Ids and titles of the levels, in the order in which they are tried."""

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_PROTOCOL_3 = 196608
_CLIENT_SSL = 0x800
_LARGEST_GREETING = 4096
_UNSAFE = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    port: int
    database: str
    user: str
    password: SecretStr
    ca_file: Path | None
    require_tls: bool
    timeout: float

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context


class _LevelFailed(Exception):  # noqa: N818 - never leaves this module: it ends the climb, it is no error of the caller's
    """Says that a level was reached and does not hold."""


class _LevelUnknown(Exception):  # noqa: N818 - the same
    """Says that a level cannot be judged from here."""


async def probe(
    *,
    engine: DatabaseEngine,
    host: str,
    port: int,
    database: str,
    user: str,
    password: SecretStr,
    ca_file: Path | None = None,
    require_tls: bool = True,
    timeout: float = 10.0,
) -> tuple[CheckResult, ...]:
    """Return one check per level, in order; never raises for anything that the other side does.

    `ca_file` is the PEM file of the authority to trust, None for the system's. With `require_tls` the TLS level passes
    only if a login in plain text is refused as well; no password is sent to find that out. Each level has `timeout`
    seconds.
    """
    target = _Target(host, port, database, user, password, ca_file, require_tls, timeout)
    climb: tuple[tuple[str, Callable[[_Target], Awaitable[str]]], ...]
    if engine is DatabaseEngine.POSTGRES:
        climb = (
            ("reachable", _reach),
            ("greeting", _postgres_greeting),
            ("tls", _postgres_tls),
            ("login", _postgres_login),
            ("query", _postgres_query),
        )
    else:
        climb = (("reachable", _reach), ("greeting", _mysql_greeting), ("tls", _mysql_tls))
    with calling("database", "probe"):
        return await _climb(target, climb)


async def _climb(
    target: _Target, climb: tuple[tuple[str, Callable[[_Target], Awaitable[str]]], ...]
) -> tuple[CheckResult, ...]:
    results: list[CheckResult] = []
    for level, attempt in climb:
        try:
            with anyio.fail_after(target.timeout):
                results.append(_check(level, CheckVerdict.PASS, await attempt(target)))
        except _LevelFailed as failure:
            results.append(_check(level, CheckVerdict.FAIL, str(failure)))
            break
        except _LevelUnknown as unknown:
            results.append(_check(level, CheckVerdict.UNKNOWN, str(unknown)))
            break
        except TimeoutError:
            results.append(_check(level, CheckVerdict.FAIL, f"{target.address} gave no answer in {target.timeout:g} s"))
            break
    reached = results[-1].id
    missed = list(LEVELS)[len(results) :]
    return (*results, *(_check(level, CheckVerdict.UNKNOWN, f"not tried: stopped at {reached}") for level in missed))


async def _connect(target: _Target) -> anyio.abc.SocketStream:
    try:
        return await anyio.connect_tcp(target.host, target.port)
    except OSError as error:
        raise _LevelFailed(f"cannot connect to {target.address}: {type(error).__name__}") from error


async def _reach(target: _Target) -> str:
    async with await _connect(target):
        return f"connected to {target.address}"


async def _postgres_greeting(target: _Target) -> str:
    async with await _connect(target) as stream:
        answer = await _answer_to_ssl_request(stream)
    if answer == b"S":
        return "SSLRequest was answered S: TLS is offered"
    if answer == b"N" and not target.require_tls:
        return "SSLRequest was answered N: TLS is not offered"
    if answer == b"N":
        raise _LevelFailed("SSLRequest was answered N: TLS is required and not offered")
    raise _LevelFailed(f"SSLRequest was answered {answer!r}: this is no PostgreSQL")


async def _postgres_tls(target: _Target) -> str:
    async with await _connect(target) as stream:
        if await _answer_to_ssl_request(stream) != b"S":
            raise _LevelUnknown("the server offers no TLS, and none is required; nothing was encrypted")
        try:
            secured = await TLSStream.wrap(
                stream, server_side=False, hostname=target.host, ssl_context=target.trust(), standard_compatible=False
            )
        except (ssl.SSLError, anyio.BrokenResourceError, anyio.EndOfStream, OSError) as error:
            reason = getattr(error, "verify_message", None) or type(error).__name__
            raise _LevelFailed(f"no trusted TLS with {target.address}: {reason}; check the CA file") from error
        version = secured.extra_attributes[TLSAttribute.tls_version]()
        cipher = secured.extra_attributes[TLSAttribute.cipher]()[0]
        await secured.aclose()
    plain = await _plain_login(target)
    if target.require_tls and not plain.refused:
        raise _LevelFailed(f"{version} {cipher}, but a login in plain text is not refused: {plain.evidence}")
    return f"{version} {cipher}, certificate verified; plain text: {plain.evidence}"


@dataclass(frozen=True, slots=True)
class _PlainLogin:
    refused: bool
    evidence: str


async def _plain_login(target: _Target) -> _PlainLogin:
    """Begin a login without TLS and see how the server answers the user's name alone."""
    parameters = b"".join(word.encode() + b"\x00" for word in ("user", target.user, "database", target.database))
    body = struct.pack("!i", _PROTOCOL_3) + parameters + b"\x00"
    async with await _connect(target) as stream:
        reader = BufferedByteReceiveStream(stream)
        await stream.send(struct.pack("!i", len(body) + 4) + body)
        try:
            kind = await reader.receive_exactly(1)
            size = struct.unpack("!i", await reader.receive_exactly(4))[0] - 4
            content = await reader.receive_exactly(min(max(size, 0), _LARGEST_GREETING))
        except (anyio.IncompleteRead, anyio.BrokenResourceError):
            return _PlainLogin(refused=True, evidence="the server closed the connection")
    if kind != b"E":
        return _PlainLogin(refused=False, evidence="the server went on to authenticate")
    fields = {field[:1]: field[1:].decode(errors="replace") for field in content.split(b"\x00") if field}
    state = fields.get(b"C", "")
    # 28000 before any password: no rule of the server admits this user without encryption.
    return _PlainLogin(refused=state == "28000", evidence=f"refused with SQLSTATE {state}")


async def _postgres_login(target: _Target) -> str:
    connection = await _postgres_session(target)
    try:
        return f"logged in as {target.user} to {target.database}"
    finally:
        await _end(connection)


async def _postgres_query(target: _Target) -> str:
    connection = await _postgres_session(target)
    written = secrets.token_hex(8)
    try:
        version = await connection.fetchval("SELECT version()")
        async with connection.transaction():
            await connection.execute("CREATE TEMPORARY TABLE connectivity_probe (value text) ON COMMIT DROP")
            await connection.execute("INSERT INTO connectivity_probe VALUES ($1)", written)
            read = await connection.fetchval("SELECT value FROM connectivity_probe")
    except asyncpg.PostgresError as error:
        raise _LevelFailed(f"a query failed with SQLSTATE {_state(error)}") from error
    finally:
        await _end(connection)
    if read != written:
        raise _LevelFailed("what was written to a temporary table was not read back")
    return f"{str(version).split(' on ')[0]}: a row was written to a temporary table and read back"


async def _postgres_session(target: _Target) -> asyncpg.Connection:
    try:
        return await asyncpg.connect(
            host=target.host,
            port=target.port,
            user=target.user,
            password=target.password.get_secret_value(),
            database=target.database,
            ssl=target.trust(),
            timeout=math.ceil(target.timeout),
            command_timeout=target.timeout,
        )
    except asyncpg.PostgresError as error:
        raise _LevelFailed(f"login as {target.user} was refused with SQLSTATE {_state(error)}") from error
    except (OSError, asyncpg.InterfaceError) as error:
        raise _LevelFailed(f"login as {target.user} failed: {type(error).__name__}") from error


def _state(error: asyncpg.PostgresError) -> str:
    return str(getattr(error, "sqlstate", None) or "unknown")


async def _end(connection: asyncpg.Connection) -> None:
    with anyio.CancelScope(shield=True):
        await connection.close(timeout=2)


async def _answer_to_ssl_request(stream: anyio.abc.SocketStream) -> bytes:
    try:
        await stream.send(_SSL_REQUEST)
        return await stream.receive(1)
    except (anyio.EndOfStream, anyio.BrokenResourceError) as error:
        raise _LevelFailed("the server closed the connection instead of answering SSLRequest") from error


async def _mysql_greeting(target: _Target) -> str:
    version, capabilities = await _mysql_handshake(target)
    return f"protocol 10, version {version}, TLS {'offered' if capabilities & _CLIENT_SSL else 'not offered'}"


async def _mysql_tls(target: _Target) -> str:
    _, capabilities = await _mysql_handshake(target)
    offered = "TLS is offered" if capabilities & _CLIENT_SSL else "TLS is not offered"
    raise _LevelUnknown(f"{offered} in the greeting; there is no MySQL client here to go on with")


async def _mysql_handshake(target: _Target) -> tuple[str, int]:
    async with await _connect(target) as stream:
        reader = BufferedByteReceiveStream(stream)
        try:
            header = await reader.receive_exactly(4)
            content = await reader.receive_exactly(min(int.from_bytes(header[:3], "little"), _LARGEST_GREETING))
        except (anyio.IncompleteRead, anyio.BrokenResourceError) as error:
            raise _LevelFailed("the server closed the connection instead of greeting") from error
    version, _, rest = content[1:].partition(b"\x00")
    if content[:1] != b"\x0a" or len(rest) < 15:
        raise _LevelFailed("the server's first packet is no greeting of MySQL's protocol 10")
    capabilities = int.from_bytes(rest[13:15], "little")
    return version.decode(errors="replace"), capabilities


def _check(level: str, verdict: CheckVerdict, evidence: str) -> CheckResult:
    return CheckResult(id=level, title=LEVELS[level], verdict=verdict, evidence=_UNSAFE.sub("?", evidence)[:500])
