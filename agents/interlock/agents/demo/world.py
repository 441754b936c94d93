"""The sandbox as a child process, and the settings file that everything else is started with."""

from __future__ import annotations

__all__ = ["World"]

import os
import signal
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio

from interlock.bus.private_process import PrivateProcess
from interlock.protocol.errors import TransientError

_PATIENCE = 90.0
_POLL = 0.05


class World:
    """The outside systems of one demonstration. They start while something else does: `ready` waits for them."""

    def __init__(self, directory: Path, *, tickets: Sequence[Path]) -> None:
        self._directory = directory
        self._tickets = tickets
        self._process: PrivateProcess | None = None
        self._file, self._console = directory / "sandbox.toml", directory / "sandbox.log"

    def __repr__(self) -> str:
        return f"World({str(self._directory)!r})"

    async def __aenter__(self) -> Self:
        await anyio.Path(self._directory).mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "interlock.agents.cli", "sandbox", "up"]
        command += ["--directory", str(self._directory / "sandbox"), "--write", str(self._file)]
        for ticket in self._tickets:
            command += ["--ticket", str(ticket.resolve())]
        self._process = await PrivateProcess.start(
            command, environment=os.environ, directory=self._directory, console=self._console
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def ready(self) -> Mapping[str, Any]:
        """Return the settings that lead to these systems, once all of them answer.

        Raises TransientError, with the end of the log, when they do not start.
        """
        try:
            with anyio.fail_after(_PATIENCE):
                while not self._file.exists():
                    if self._process is None or not self._process.is_running:
                        raise TransientError(f"the sandbox ended before it was ready:\n{_last_lines(self._console)}")
                    await anyio.sleep(_POLL)
        except TimeoutError as error:
            raise TransientError(f"the sandbox was not ready within {_PATIENCE:.0f} s; see {self._console}") from error
        return tomllib.loads(self._file.read_text(encoding="utf-8"))

    def dismiss(self) -> None:
        """Let them end while something else does; leaving the context waits until they have."""
        if self._process is not None:
            self._process.signal(signal.SIGTERM)

    async def _stop(self) -> None:
        if self._process is not None:
            with anyio.CancelScope(shield=True):
                await self._process.stop(timeout=10)


def _last_lines(console: Path) -> str:
    lines = console.read_text(encoding="utf-8", errors="replace").splitlines() if console.exists() else []
    return "\n".join(lines[-15:])
