"""The tutorial, typed as it stands into an empty folder: each file written, each command run, each output seen."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from docs.snippets import ROOT, named_blocks

pytestmark = [pytest.mark.slow, pytest.mark.rabbitmq]

STEPS = named_blocks(ROOT / "docs" / "tutorial.md")
READY = {"broker": "Ctrl-C ends the broker", "tail": "following", "peer": "taking messages"}
LONGEST = 300.0
"""Seconds for one step; installing takes the most."""


class Terminal:
    """A program that goes on, read line by line as somebody would."""

    def __init__(self, process: Process) -> None:
        assert process.stdout is not None
        self._output = BufferedByteReceiveStream(process.stdout)

    async def shows(self, *lines: str) -> None:
        """Read on until these lines have come, in this order."""
        with anyio.fail_after(LONGEST):
            for line in lines:
                while pattern(line).search((await self._output.receive_until(b"\n", 10_000)).decode()) is None:
                    pass


def pattern(line: str) -> re.Pattern[str]:
    """Return what finds a line as the tutorial shows it, where `…` stands for anything."""
    return re.compile(".*".join(map(re.escape, line.strip().split("…"))))


@asynccontextmanager
async def started(command: str, folder: Path, variables: dict[str, str]) -> AsyncGenerator[Terminal]:
    process = await anyio.open_process(command.split(), cwd=folder, env=variables, stderr=subprocess.STDOUT)
    async with process:
        try:
            yield Terminal(process)
        finally:
            process.terminate()
            with anyio.CancelScope(shield=True), anyio.move_on_after(30):
                await process.wait()


def environment(constraints: Path) -> dict[str, str]:
    """Return a newcomer's environment, but for the releases, which are those that were tested."""
    locked = re.findall(r"(?m)^([\w.-]+==[^\\\n]+)", (ROOT / "requirements.lock").read_text())
    constraints.write_text("\n".join(locked))
    own = {name: value for name, value in os.environ.items() if not name.startswith(("INTERLOCK_", "PYTHON", "PYTEST"))}
    return own | {"PIP_CONSTRAINT": str(constraints), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}


async def test_the_tutorial_can_be_followed_literally(tmp_path: Path) -> None:
    (tmp_path / "interlock").symlink_to(ROOT)
    folder = tmp_path / "peer"
    folder.mkdir()
    variables = environment(tmp_path / "constraints.txt")
    outputs: dict[str, str] = {}
    terminals: dict[str, Terminal] = {}
    async with AsyncExitStack() as stack:
        for step, code in STEPS.items():
            kind, _, name = step.partition(": ")
            match kind:
                case "file":
                    (folder / name).write_text(code)
                case "run" | "fails":
                    with anyio.fail_after(LONGEST):
                        finished = await anyio.run_process(
                            ["bash", "-euo", "pipefail", "-c", code],
                            cwd=folder,
                            env=variables,
                            stderr=subprocess.STDOUT,
                            check=False,
                        )
                    outputs[name] = finished.stdout.decode()
                    assert (finished.returncode != 0) == (kind == "fails"), f"{step}\n{outputs[name]}"
                case "start":
                    terminals[name] = await stack.enter_async_context(started(code, folder, variables))
                    await terminals[name].shows(READY[name])
                case "shows":
                    lines = code.splitlines()
                    where = name.partition(".")[0]
                    if where in terminals:
                        await terminals[where].shows(*lines)
                    else:
                        assert [line for line in lines if not pattern(line).search(outputs[where])] == []
                case _:
                    pytest.fail(f"nobody knows how to follow {step}")
