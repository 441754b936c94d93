"""A real PostgreSQL with TLS as a private child process, behind the sandbox's RDS; it knows nothing of AWS.

Plain-text connections are refused, as with `rds.force_ssl`. Data are disposable: the server does not wait for disks.
"""

from __future__ import annotations

__all__ = ["PostgresServer", "find_postgres"]

import asyncio
import re
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import asyncpg

from interlock.agents.sandbox.certificates import CertificateAuthority
from interlock.bus.private_postgres import PrivatePostgres, find_postgres
from interlock.protocol.errors import PermanentError, UsageError

_HOST = "127.0.0.1"
_SUPERUSER = "sandbox"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")


class PostgresServer:
    """One server on a free port of 127.0.0.1, with its own certificate authority.

    Use it as an async context manager, from a thread that outlives the server; see `PrivatePostgres`.
    """

    def __init__(
        self,
        directory: Path,
        *,
        authority: CertificateAuthority | None = None,
        binaries: Path | None = None,
        ready_within: float = 30.0,
    ) -> None:
        self._directory = directory
        self._authority = authority or CertificateAuthority("Interlock sandbox")
        issued = self._authority.issue("PostgreSQL of the Interlock sandbox")
        self._server = PrivatePostgres(
            directory,
            superuser=_SUPERUSER,
            rules=f"hostssl all all {_HOST}/32 scram-sha-256\n",
            files={"server.crt": issued.certificate, "server.key": issued.key},
            settings={"ssl": "on", "ssl_min_protocol_version": "TLSv1.2"},
            binaries=binaries,
            ready_within=ready_within,
        )
        self._provisioning = threading.Lock()

    def __repr__(self) -> str:
        return f"PostgresServer({self._server.state})"

    @property
    def port(self) -> int:
        """The port, once started."""
        return self._server.port

    @property
    def pid(self) -> int:
        """The server's process id. Raises UsageError when it is not running."""
        return self._server.pid

    @property
    def ca_file(self) -> Path:
        """The certificate authority that clients have to trust."""
        return self._directory / "authority.pem"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Make an empty cluster and return when it answers, after about a second; raises as `PrivatePostgres` does."""
        await self._server.start()
        self.ca_file.write_bytes(self._authority.certificate)

    async def aclose(self) -> None:
        """Disconnect everybody and stop, within 10 seconds; after that the server is killed. May be called twice."""
        await self._server.aclose()

    def provision(self, identifier: str, *, engine: str, database: str, user: str, password: str) -> tuple[str, int]:
        """Make the role and the database unless they are there, set the password, and return host and port.

        Instances that share a server share its roles: for equal names on several, give each a server of its own.
        Safe to call from any thread that runs no event loop. Raises UsageError for another engine, a name that is not
        a plain word, or a server that does not run; PermanentError when the database belongs to another role.
        """
        _ = self._server.pid  # refused here rather than by a port that nobody answers
        if engine != "postgres":
            raise UsageError(f"{identifier}: this sandbox runs PostgreSQL, not {engine}")
        for name in (database, user):
            if not _NAME.fullmatch(name):
                raise UsageError(f"{identifier}: {name!r} is not a plain name for a role or database")
        with self._provisioning:
            asyncio.run(self._provision(identifier, database, user, password))
        return _HOST, self.port

    async def _provision(self, identifier: str, database: str, user: str, password: str) -> None:
        connection = await self._connect()
        try:
            known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", user)
            # Utility statements take no parameters: the server itself quotes both, in a statement that is never logged.
            statement = await connection.fetchval(
                "SELECT format('%s ROLE %I LOGIN PASSWORD %L', $1::text, $2::text, $3::text)",
                "ALTER" if known else "CREATE",
                user,
                password,
            )
            await connection.execute(str(statement))
            owner = await connection.fetchval(
                "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = $1", database
            )
            if owner is None:
                await connection.execute(f'CREATE DATABASE "{database}" OWNER "{user}"')
            elif owner != user:
                raise PermanentError(f"{identifier}: database {database} belongs to {owner}, not to {user}")
        finally:
            await connection.close(timeout=5)

    async def _connect(self) -> asyncpg.Connection:
        trust = ssl.create_default_context(cafile=str(self.ca_file))
        return await asyncpg.connect(
            host=_HOST,
            port=self.port,
            user=_SUPERUSER,
            password=self._server.password,
            database="postgres",
            ssl=trust,
            timeout=5,
            command_timeout=10,
        )
