"""A real PostgreSQL with TLS as a private child process, behind the sandbox's RDS; it knows nothing of AWS.

Plain-text connections are refused, as with `rds.force_ssl`. Data are disposable: the server does not wait for disks.
"""

from __future__ import annotations

__all__ = ["PostgresServer", "find_postgres"]

import asyncio
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
import asyncpg

from interlock.agents.sandbox.certificates import CertificateAuthority
from interlock.protocol.errors import PermanentError, TransientError, UsageError

_HOST = "127.0.0.1"
_SUPERUSER = "sandbox"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,62}")
_RULES = f"hostssl all all {_HOST}/32 scram-sha-256\n"
_INSTALL = "install PostgreSQL's server (Debian: postgresql; macOS: postgresql@16), or put `postgres` on the PATH"


def find_postgres(*, releases: Path = Path("/usr/lib/postgresql")) -> Path:
    """Return the folder that holds `postgres` and `initdb`: on the PATH, else the newest of Debian's `releases`.

    Raises UsageError that says what to install.
    """
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(releases.glob("*/bin"), key=_release, reverse=True)
    for folder in folders:
        if all(os.access(folder / program, os.X_OK) for program in ("postgres", "initdb")):
            return folder
    raise UsageError(f"no PostgreSQL server was found; {_INSTALL}")


def _release(folder: Path) -> float:
    try:
        return float(folder.parent.name)
    except ValueError:
        return 0.0


class PostgresServer:
    """One server on a free port of 127.0.0.1, with its own certificate authority.

    Use it as an async context manager, from a thread that outlives the server: on Linux the server is told to stop
    when the thread that started it ends, so that not even `kill -9` of the process leaves one behind. A server may
    not run as root; started by root it runs as `postgres` or `nobody`, and where those cannot enter `directory`, the
    data lie in a temporary folder of their own.
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
        self._binaries = binaries
        self._ready_within = ready_within
        self._port = 0
        self._password = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._provisioning = threading.Lock()

    def __repr__(self) -> str:
        return f"PostgresServer({_HOST}:{self._port}, {'running' if self._process else 'stopped'})"

    @property
    def port(self) -> int:
        """The port, once started."""
        return self._port

    @property
    def pid(self) -> int:
        """The server's process id. Raises UsageError when it is not running."""
        return self._running().pid

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
        """Make an empty cluster and return when it answers, after about a second.

        Raises UsageError when PostgreSQL is not installed, PermanentError with the server's log when it does not start.
        """
        binaries = self._binaries or find_postgres()
        account = _account()
        home = self._home(account)
        data = home / "data"
        await self._initialise(binaries, data, account)
        self._port = _free_port()
        log = home / "postgres.log"
        self._process = _launch(_command(binaries, data, self._port), log=log, account=account)
        try:
            await self._await_ready(log)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.aclose()
            raise

    async def aclose(self) -> None:
        """Disconnect everybody and stop, within 10 seconds; after that the server is killed. May be called twice."""
        process, self._process = self._process, None
        if process is not None:
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(_stop, process)
        if self._temporary is not None:
            temporary, self._temporary = self._temporary, None
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(temporary.cleanup)

    def provision(self, identifier: str, *, engine: str, database: str, user: str, password: str) -> tuple[str, int]:
        """Make the role and the database unless they are there, set the password, and return host and port.

        Instances that share a server share its roles: for equal names on several, give each a server of its own.
        Safe to call from any thread that runs no event loop. Raises UsageError for another engine, a name that is not
        a plain word, or a server that does not run; PermanentError when the database belongs to another role.
        """
        self._running()
        if engine != "postgres":
            raise UsageError(f"{identifier}: this sandbox runs PostgreSQL, not {engine}")
        for name in (database, user):
            if not _NAME.fullmatch(name):
                raise UsageError(f"{identifier}: {name!r} is not a plain name for a role or database")
        with self._provisioning:
            asyncio.run(self._provision(identifier, database, user, password))
        return _HOST, self._port

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
            port=self._port,
            user=_SUPERUSER,
            password=self._password,
            database="postgres",
            ssl=trust,
            timeout=5,
            command_timeout=10,
        )

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise UsageError("the PostgreSQL sandbox is not running; start it first")
        return self._process

    def _home(self, account: pwd.struct_passwd | None) -> Path:
        self._directory.mkdir(parents=True, exist_ok=True)
        home = self._directory.resolve() / "postgres"
        if account is not None and not all(parent.stat().st_mode & 0o001 for parent in home.parents):
            self._temporary = tempfile.TemporaryDirectory(prefix="interlock-postgres-")
            home = Path(self._temporary.name)
        home.mkdir(exist_ok=True)
        if account is not None:
            os.chown(home, account.pw_uid, account.pw_gid)
        home.chmod(0o700)
        return home

    async def _initialise(self, binaries: Path, data: Path, account: pwd.struct_passwd | None) -> None:
        password_file = data.parent / "password"
        await anyio.to_thread.run_sync(partial(shutil.rmtree, data, ignore_errors=True))
        _write(password_file, self._password.encode(), account)
        options = ("--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", f"--username={_SUPERUSER}")
        finished = await anyio.run_process(
            [str(binaries / "initdb"), *options, f"--pwfile={password_file}", "-D", str(data)],
            check=False,
            cwd=data.parent,
            env=_environment(),
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
        await anyio.Path(password_file).unlink()
        if finished.returncode != 0:
            raise PermanentError(f"initdb failed in {data}: {finished.stderr.decode(errors='replace').strip()[-500:]}")
        issued = self._authority.issue("PostgreSQL of the Interlock sandbox")
        _write(data / "server.crt", issued.certificate, account)
        _write(data / "server.key", issued.key, account)
        _write(data / "pg_hba.conf", _RULES.encode(), account)
        self.ca_file.write_bytes(self._authority.certificate)

    async def _await_ready(self, log: Path) -> None:
        with anyio.move_on_after(self._ready_within):
            while self._running().poll() is None:
                try:
                    connection = await self._connect()
                except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
                    await anyio.sleep(0.05)
                    continue
                await connection.close(timeout=5)
                return
        written = (await anyio.Path(log).read_text(errors="replace")).strip()[-500:]
        if self._running().poll() is None:
            raise TransientError(
                f"PostgreSQL did not answer on port {self._port} in {self._ready_within:g} s: {written}"
            )
        raise PermanentError(f"PostgreSQL did not start on port {self._port}: {written}")


def _command(binaries: Path, data: Path, port: int) -> list[str]:
    settings = {
        "listen_addresses": _HOST,
        "port": str(port),
        "unix_socket_directories": "",
        "ssl": "on",
        "ssl_min_protocol_version": "TLSv1.2",
        "fsync": "off",
        "synchronous_commit": "off",
        "full_page_writes": "off",
        "shared_buffers": "16MB",
        "max_connections": "100",
        "log_statement": "none",
        "log_min_error_statement": "panic",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    server = [str(binaries / "postgres"), "-D", str(data), *options]
    # Asks the kernel to interrupt the server when its parent dies, then becomes the server under the same process id.
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig=INT", *server] if setpriv else server


def _launch(command: list[str], *, log: Path, account: pwd.struct_passwd | None) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=log.parent,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
        )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=5)


def _account() -> pwd.struct_passwd | None:
    """Return whom to run as, None when we may run it ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise UsageError(
        "PostgreSQL does not run as root, and there is no user `postgres` or `nobody`; run as another user"
    )


def _write(file: Path, content: bytes, account: pwd.struct_passwd | None) -> None:
    file.unlink(missing_ok=True)
    file.touch(mode=0o600)
    file.write_bytes(content)
    if account is not None:
        os.chown(file, account.pw_uid, account.pw_gid)


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
