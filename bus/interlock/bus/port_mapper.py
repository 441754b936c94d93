"""Erlang's epmd as a child of ours: one that a node starts by itself would outlive it; it knows no broker."""

from __future__ import annotations

__all__ = ["PortMapper"]

import shutil
from pathlib import Path

from interlock.bus.private_node import SEARCH_PATH
from interlock.bus.private_process import PrivateProcess
from interlock.protocol.errors import UsageError


class PortMapper:
    """Tells nodes on 127.0.0.1 each other's ports, on a port of its own."""

    def __init__(self, directory: Path, *, port: int) -> None:
        """Its output is appended to `directory`/epmd.log."""
        self._directory = directory
        self._port = port
        self._process: PrivateProcess | None = None

    def __repr__(self) -> str:
        return f"PortMapper(port={self._port}, running={self._process is not None and self._process.is_running})"

    async def start(self) -> None:
        """Start it anew. Raises UsageError when Erlang is not installed as a whole."""
        program = shutil.which("epmd", path=SEARCH_PATH)
        if program is None:
            raise UsageError("Erlang's epmd is not installed beside rabbitmq-server; reinstall erlang-base")
        await self.stop()
        self._process = await PrivateProcess.start(
            [program, "-port", str(self._port), "-address", "127.0.0.1"],
            environment={"PATH": SEARCH_PATH},
            directory=self._directory,
            console=self._directory / "epmd.log",
        )

    async def stop(self) -> None:
        """End it. Idempotent."""
        if self._process:
            await self._process.kill()
