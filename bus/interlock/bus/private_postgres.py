"""A PostgreSQL server of one's own, as a child process on a free port; it knows nothing of what is kept in it.

For tests, demonstrations and trying things out. Data are disposable unless `durable` is set.
"""

from __future__ import annotations

__all__ = ["PrivatePostgres", "find_postgres"]

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio

from interlock.protocol.errors import PermanentError, TransientError, UsageError

_HOST = "127.0.0.1"
_RULES = f"host all all {_HOST}/32 scram-sha-256\n"
_INSTALL = "install PostgreSQL's server (Debian: postgresql; macOS: postgresql@16), or put `postgres` on the PATH"


def find_postgres(*, releases: Path = Path("/usr/lib/postgresql")) -> Path:
    """Return the folder that holds `postgres` and `initdb`: on the PATH, else the newest of Debian's `releases`.

    Raises UsageError that says what to install.
    """
    on_path = shutil.which("postgres")
    folders = [Path(on_path).resolve().parent] if on_path else []
    folders += sorted(releases.glob("*/bin"), key=_release, reverse=True)
    for folder in folders:
        if all(os.access(folder / program, os.X_OK) for program in ("postgres", "initdb", "pg_isready")):
            return folder
    raise UsageError(f"no PostgreSQL server was found; {_INSTALL}")


class PrivatePostgres:
    """One server on a free port of 127.0.0.1, with an empty cluster and one superuser.

    Use it as an async context manager, from a thread that outlives the server: on Linux the server is told to stop
    when the thread that started it ends, so that not even `kill -9` of the process leaves one behind. A server may
    not run as root; started by root it runs as `postgres` or `nobody`, and where those cannot enter `directory`, the
    data lie in a temporary folder of their own.
    """

    def __init__(
        self,
        directory: Path,
        *,
        superuser: str = "interlock",
        rules: str = _RULES,
        files: Mapping[str, bytes] | None = None,
        settings: Mapping[str, str] | None = None,
        durable: bool = False,
        binaries: Path | None = None,
        ready_within: float = 30.0,
    ) -> None:
        """`rules` is its pg_hba.conf, `files` are laid beside it, for its owner only.

        `settings` are added to its configuration; a `durable` server waits for its disk at every commit.
        """
        self._directory = directory
        self._superuser = superuser
        self._files = {"pg_hba.conf": rules.encode(), **(files or {})}
        self._settings = dict(settings or {})
        self._durable = durable
        self._binaries = binaries
        self._ready_within = ready_within
        self._port = 0
        self._password = secrets.token_urlsafe(24)
        self._process: subprocess.Popen[bytes] | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def __repr__(self) -> str:
        return f"PrivatePostgres({self.state})"

    @property
    def state(self) -> str:
        """Where it is, and whether it runs."""
        return f"{_HOST}:{self._port}, {'running' if self._process else 'stopped'}"

    @property
    def port(self) -> int:
        """The port, once started."""
        return self._port

    @property
    def password(self) -> str:
        """The superuser's."""
        return self._password

    @property
    def pid(self) -> int:
        """The server's process id. Raises UsageError when it is not running."""
        return self._running().pid

    def url(self, database: str = "postgres") -> str:
        """Return the superuser's address of a database; keep it secret."""
        return f"postgresql://{self._superuser}:{self._password}@{_HOST}:{self._port}/{database}"

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
        account = _account()
        home = self._home(account)
        try:
            await self._initialise(self._binaries or find_postgres(), home / "data", account)
            self._port = _free_port()
            await self._serve(home, account)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.aclose()
            raise

    async def restart(self) -> None:
        """Let the server fail, and start it again over the same data, on the same port.

        It stops at once, without a checkpoint ("immediate shutdown"), and recovers from its log as after a crash.
        """
        process = self._running()
        process.send_signal(signal.SIGQUIT)
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(process.wait)
        home = Path(self._temporary.name) if self._temporary else self._directory.resolve() / "postgres"
        await self._serve(home, _account())

    async def _serve(self, home: Path, account: pwd.struct_passwd | None) -> None:
        binaries, log = self._binaries or find_postgres(), home / "postgres.log"
        self._process = _launch(self._command(binaries, home / "data"), log=log, account=account)
        try:
            await self._await_ready(binaries, log)
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

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise UsageError("the private PostgreSQL is not running; start it first")
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
        options = ("--no-sync", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
        login = (f"--username={self._superuser}", f"--pwfile={password_file}")
        finished = await anyio.run_process(
            [
                str(binaries / "initdb"),
                *options,
                *login,
                "-D",
                str(data),
            ],
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
        for name, content in self._files.items():
            _write(data / name, content, account)

    def _command(self, binaries: Path, data: Path) -> list[str]:
        disk = "on" if self._durable else "off"
        settings = {
            "listen_addresses": _HOST,
            "port": str(self._port),
            "unix_socket_directories": "",
            "fsync": disk,
            "synchronous_commit": disk,
            "full_page_writes": disk,
            "shared_buffers": "16MB",
            "max_connections": "100",
            "log_statement": "none",
            "log_min_error_statement": "panic",
            **self._settings,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = [str(binaries / "postgres"), "-D", str(data), *options]
        # Asks the kernel to interrupt the server when its parent dies, then becomes the server under the same id.
        setpriv = shutil.which("setpriv")
        return [setpriv, "--pdeathsig=INT", *server] if setpriv else server

    async def _await_ready(self, binaries: Path, log: Path) -> None:
        question = [str(binaries / "pg_isready"), "-q", "-h", _HOST, "-p", str(self._port), "-t", "5"]
        with anyio.move_on_after(self._ready_within):
            while self._running().poll() is None:
                if (await anyio.run_process(question, check=False, env=_environment())).returncode == 0:
                    return
                await anyio.sleep(0.05)
        written = (await anyio.Path(log).read_text(errors="replace")).strip()[-500:]
        if self._running().poll() is None:
            raise TransientError(
                f"PostgreSQL did not answer on port {self._port} in {self._ready_within:g} s: {written}"
            )
        raise PermanentError(f"PostgreSQL did not start on port {self._port}: {written}")


def _release(folder: Path) -> float:
    try:
        return float(folder.parent.name)
    except ValueError:
        return 0.0


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
