"""A newcomer's machine: a clean environment, the releases that were tested, and programs in terminals of their own."""

from __future__ import annotations

__all__ = ["ENVIRONMENT", "PATIENCE", "Terminal", "pin_releases", "started"]

import os
import re
import subprocess
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from docs.snippets import ROOT

ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("INTERLOCK_", "PYTHON", "PYTEST"))
}
PATIENCE = 90.0
"""Seconds until a program has said what is expected of it."""

_LONGEST_LINE = 100_000
_LONGEST_END = 20.0


def pin_releases(file: Path) -> Path:
    """Write the locked releases as constraints for pip: what is installed then is what was tested."""
    locked = re.findall(r"(?m)^([\w.-]+==[^\\\n]+)", (ROOT / "requirements.lock").read_text())
    file.write_text("\n".join(locked))
    return file


class Terminal:
    """A program that goes on, read line by line as somebody would."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._output = BufferedByteReceiveStream(process.stdout)

    async def line(self, expected: str | re.Pattern[str]) -> str:
        """Return the next line that has this in it."""
        pattern = re.compile(re.escape(expected)) if isinstance(expected, str) else expected
        with anyio.fail_after(PATIENCE):
            while True:
                text = (await self._output.receive_until(b"\n", _LONGEST_LINE)).decode()
                if pattern.search(text):
                    return text


@asynccontextmanager
async def started(
    command: Sequence[str | Path], *, folder: Path, ready: str, environment: Mapping[str, str] = ENVIRONMENT
) -> AsyncGenerator[Terminal]:
    """Start a program, and go on when it has said that it is ready; end it at the end."""
    process = await anyio.open_process(command, cwd=folder, env=environment, stderr=subprocess.STDOUT)
    async with process:
        terminal = Terminal(process)
        try:
            await terminal.line(ready)
            yield terminal
        finally:
            process.terminate()
            with anyio.CancelScope(shield=True), anyio.move_on_after(_LONGEST_END):
                await process.wait()
