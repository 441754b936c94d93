"""A child process that ends with its parent; it knows nothing of what runs in it."""

from __future__ import annotations

__all__ = ["PrivateProcess", "free_port"]

import asyncio
import shutil
import signal
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path

import anyio


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class PrivateProcess:
    """One child with its console in a file.

    Where `setpriv` (util-linux) exists, the kernel kills the child when the thread that started it ends, however that
    ends (prctl(2), PR_SET_PDEATHSIG); elsewhere a killed parent leaves the child behind.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    def __repr__(self) -> str:
        return f"PrivateProcess(pid={self.pid}, running={self.is_running})"

    @classmethod
    async def start(
        cls, command: Sequence[str], *, environment: Mapping[str, str], directory: Path, console: Path
    ) -> PrivateProcess:
        """Start the command with exactly this environment; its output is appended to `console`.

        Raises OSError when it cannot be started.
        """
        launcher = shutil.which("setpriv")
        prefix = (launcher, "--pdeathsig", "KILL", "--") if launcher else ()
        with console.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *prefix,
                *command,
                env=dict(environment),
                cwd=directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return cls(process)

    @property
    def pid(self) -> int:
        """The process id, also after the end."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.returncode is None

    @property
    def exit_code(self) -> int | None:
        """Its exit status, negative for a signal; None while it runs."""
        return self._process.returncode

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.is_running:
            self._process.send_signal(number)

    async def stop(self, *, timeout: float) -> None:
        """Ask it to end, and kill it after `timeout` seconds. Idempotent."""
        self.signal(signal.SIGTERM)
        with anyio.move_on_after(timeout):
            await self._process.wait()
        await self.kill()

    async def kill(self) -> None:
        """End it at once. Idempotent."""
        self.signal(signal.SIGKILL)
        with anyio.CancelScope(shield=True):
            await self._process.wait()
