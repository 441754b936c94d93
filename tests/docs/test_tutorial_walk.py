"""The tutorial, typed as it stands into an empty folder: each file written, each command run, each output seen."""

from __future__ import annotations

import re
import subprocess
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from docs.newcomer import ENVIRONMENT, Terminal, pin_releases, started
from docs.snippets import ROOT, named_blocks

pytestmark = [pytest.mark.slow, pytest.mark.rabbitmq]

STEPS = named_blocks(ROOT / "docs" / "tutorial.md")
READY = {"broker": "Ctrl-C ends the broker", "tail": "following", "peer": "taking messages"}
LONGEST = 300.0
"""Seconds for one step; installing takes the most."""


def pattern(line: str) -> re.Pattern[str]:
    """Return what finds a line as the tutorial shows it, where `…` stands for anything."""
    return re.compile(".*".join(map(re.escape, line.strip().split("…"))))


async def test_the_tutorial_can_be_followed_literally(tmp_path: Path) -> None:
    (tmp_path / "interlock").symlink_to(ROOT)
    folder = tmp_path / "peer"
    folder.mkdir()
    releases = pin_releases(tmp_path / "constraints.txt")
    variables = ENVIRONMENT | {"PIP_CONSTRAINT": str(releases), "PYTHONUNBUFFERED": "1", "COLUMNS": "200"}
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
                    program = started(code.split(), folder=folder, ready=READY[name], environment=variables)
                    terminals[name] = await stack.enter_async_context(program)
                case "shows":
                    lines = code.splitlines()
                    where = name.partition(".")[0]
                    if where in terminals:
                        for line in lines:
                            await terminals[where].line(pattern(line))
                    else:
                        assert [line for line in lines if not pattern(line).search(outputs[where])] == []
                case _:
                    pytest.fail(f"nobody knows how to follow {step}")
