"""A RabbitMQ of one's own: a child process with its own epmd under one directory, for demos, tests and benchmarks.

It touches no other broker of the machine, needs no privileges, listens on 127.0.0.1 only, and is ready in a few
seconds. Not for production: it listens on one machine, for that machine.
"""

from __future__ import annotations

__all__ = ["PrivateBroker", "find_server"]

import asyncio
import os
import re
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote, urlencode

import anyio

from interlock.bus.errors import BrokerUnavailableError
from interlock.bus.port_mapper import PortMapper
from interlock.bus.private_node import Membership, PrivateNode, ServerTls
from interlock.bus.private_process import PrivateProcess
from interlock.bus.rabbitmq.definitions import ADMIN, VHOST, Definitions
from interlock.protocol.errors import UsageError

_PLACES = (
    "/usr/lib/rabbitmq/bin",  # Debian; the wrapper in /usr/sbin changes the user
    "/opt/rabbitmq/sbin",
    "/opt/homebrew/opt/rabbitmq/sbin",
    "/usr/local/opt/rabbitmq/sbin",
)
_READY = b"Server startup complete"
_POLL = 0.05


def find_server() -> Path | None:
    """Return the `rabbitmq-server` script that can run as any user, or None where none is installed."""
    scripts = (Path(place) / "rabbitmq-server" for place in _PLACES)
    return next((script for script in scripts if os.access(script, os.X_OK)), None)


class PrivateBroker:
    """RabbitMQ as a child process: `async with PrivateBroker(directory, definitions=…) as broker`.

    The directory keeps its data between `stop` or `kill` and the next `start`, and is the caller's to remove.
    """

    def __init__(
        self,
        directory: Path,
        *,
        definitions: Definitions,
        server: Path | None = None,
        management: bool = False,
        membership: Membership | None = None,
        name: str | None = None,
        tls: ServerTls | None = None,
        settings: Mapping[str, str | int] | None = None,
    ) -> None:
        """With `management`, the HTTP API listens too; a graceful stop then takes some six seconds instead of one.

        With `tls`, it also listens for clients that prove who they are by a certificate; see `tls_url`. `settings` are
        added to its `rabbitmq.conf`, e.g. `{"frame_max": 8192}`. `membership` and `name` are for a node of a
        `PrivateCluster`, which also has the port mapper.
        """
        self._node = PrivateNode(
            directory, management=management, membership=membership, name=name, tls=tls, settings=settings
        )
        self._definitions = definitions
        self._server = server
        self._broker: PrivateProcess | None = None
        self._epmd = None if membership else PortMapper(directory, port=self._node.epmd_port)

    def __repr__(self) -> str:
        return f"PrivateBroker(directory={str(self._node.directory)!r}, port={self.port}, running={self.is_running})"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self.stop()

    @property
    def name(self) -> str:
        """The Erlang node's name."""
        return self._node.name

    @property
    def directory(self) -> Path:
        """Where its data, its console and its `rabbitmqctl` are."""
        return self._node.directory

    @property
    def port(self) -> int:
        """The AMQP port on 127.0.0.1, the same after a restart."""
        return self._node.port

    @property
    def pid(self) -> int:
        """The process id of the Erlang VM; raises UsageError before the first start."""
        if self._broker is None:
            raise UsageError("the private broker was not started; call start() first")
        return self._broker.pid

    @property
    def is_running(self) -> bool:
        """Whether the process lives."""
        return self._broker is not None and self._broker.is_running

    @property
    def version(self) -> str:
        """RabbitMQ's version as its console states it, e.g. `3.10.8`; empty before it is ready."""
        found = (
            re.search(rb"Starting RabbitMQ (\S+)", self._node.console.read_bytes())
            if self._node.console.exists()
            else None
        )
        return found.group(1).decode() if found else ""

    def url(self, user: str = ADMIN) -> str:
        """Return a user's AMQP URL. Secret: it contains the password. Raises UsageError for an unknown user."""
        try:
            password = self._definitions.passwords[user]
        except KeyError as error:
            raise UsageError(f"the private broker has no user '{user}'; name it in its definitions") from error
        return f"amqp://{quote(user)}:{quote(password)}@127.0.0.1:{self.port}/{quote(VHOST)}"

    def tls_url(self, **query: str | Path) -> str:
        """Return the AMQPS URL without a login: the client's certificate is its login.

        `query` names its files, e.g. `cafile=…, certfile=…, keyfile=…, auth="EXTERNAL"`. Raises UsageError when the
        broker was made without `tls`.
        """
        if self._node.tls_port is None:
            raise UsageError("this private broker speaks no TLS; make it with tls=ServerTls(…)")
        files = urlencode({name: str(value) for name, value in query.items()})
        return f"amqps://127.0.0.1:{self._node.tls_port}/{quote(VHOST)}" + (f"?{files}" if files else "")

    @property
    def console(self) -> Path:
        """The file that receives what it logs."""
        return self._node.console

    def management_url(self, user: str = ADMIN) -> str:
        """Return the address of the HTTP API with a user's login in it. Secret.

        Raises UsageError for an unknown user, or when the broker was made without `management`.
        """
        if self._node.management_port is None:
            raise UsageError("this private broker has no management API; make it with management=True")
        login = self.url(user).removeprefix("amqp://").rpartition("@")[0]
        return f"http://{login}@127.0.0.1:{self._node.management_port}"

    async def start(self, *, timeout: float = 60.0) -> None:
        """Return when it accepts connections; `timeout` is in seconds.

        Raises UsageError when no server is installed, BrokerUnavailableError when it ends or stays silent.
        """
        server = self._server or find_server()
        if server is None:
            raise UsageError(
                "no rabbitmq-server is installed; `apt-get install rabbitmq-server` or `make setup` does it"
            )
        if self.is_running:
            return
        self._node.write_files(self._definitions.to_json(), control=server.with_name("rabbitmqctl"))
        try:
            if self._epmd:
                await self._epmd.start()
            started_at = self._node.console.stat().st_size if self._node.console.exists() else 0
            self._broker = await PrivateProcess.start(
                [str(server)],
                environment=self._node.environment(),
                directory=self._node.directory,
                console=self._node.console,
            )
            await self._wait_until_ready(self._broker, console_offset=started_at, timeout=timeout)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self.kill()
            raise

    async def stop(self, *, timeout: float = 20.0) -> None:
        """End it gracefully, or kill it after `timeout` seconds. Idempotent; the data stays."""
        if self._broker:
            self._broker.signal(signal.SIGCONT)
            await self._broker.stop(timeout=timeout)
        if self._epmd:
            await self._epmd.stop()

    async def kill(self) -> None:
        """End it at once, as a power cut of the process would. Idempotent; the data stays."""
        if self._broker:
            await self._broker.kill()
        if self._epmd:
            await self._epmd.stop()

    async def restart(self, *, timeout: float = 60.0) -> None:
        """Stop it gracefully and start it again on the same port with the same data."""
        await self.stop()
        await self.start(timeout=timeout)

    async def control(self, *arguments: str, timeout: float = 30.0) -> str:
        """Run `rabbitmqctl` against this node and return what it prints; `timeout` is in seconds.

        Raises UsageError when it fails, with its output.
        """
        server = self._server or find_server()
        assert server is not None, "a broker that runs was started from a server"
        process = await asyncio.create_subprocess_exec(
            str(server.with_name("rabbitmqctl")),
            "--node",
            self._node.name,
            *arguments,
            env=self._node.environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            with anyio.fail_after(timeout):
                output, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                with anyio.CancelScope(shield=True):
                    await process.wait()
        if process.returncode:
            raise UsageError(f"rabbitmqctl {' '.join(arguments)} failed: {output.decode(errors='replace').strip()}")
        return output.decode(errors="replace")

    def freeze(self) -> None:
        """Stop the process without ending it (SIGSTOP): connections stay open and silent."""
        if self._broker:
            self._broker.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process go on (SIGCONT)."""
        if self._broker:
            self._broker.signal(signal.SIGCONT)

    async def _wait_until_ready(self, broker: PrivateProcess, *, console_offset: int, timeout: float) -> None:
        with anyio.move_on_after(timeout):
            while broker.is_running:
                with self._node.console.open("rb") as console:
                    console.seek(console_offset)
                    if _READY in console.read() and await _speaks_amqp(self.port):
                        return
                await anyio.sleep(_POLL)
        state = f"ended with {broker.exit_code}" if not broker.is_running else f"was not ready after {timeout:g} s"
        raise BrokerUnavailableError(f"the private RabbitMQ {state}; its console is {self._node.console}")


async def _speaks_amqp(port: int) -> bool:
    """Return whether the listener answers a protocol header with Connection.Start (a method frame, type 1)."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"AMQP\x00\x00\x09\x01")
        with anyio.move_on_after(2.0):
            return await reader.read(1) == b"\x01"
        return False
    except OSError:
        return False
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
