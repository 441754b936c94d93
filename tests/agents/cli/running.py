"""How these tests run the command line: in this process where that is enough, else as a process of its own."""

from __future__ import annotations

__all__ = ["COMMAND", "MESSAGES", "environment", "interlock", "run_process"]

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
from typer.testing import CliRunner, Result

from interlock.agents.cli.app import app

COMMAND = (sys.executable, "-m", "interlock.agents.cli")
MESSAGES = Path(__file__).parents[2] / "fixtures" / "messages"


def interlock(*arguments: str | Path, stdin: bytes | None = None, settings: Mapping[str, str] | None = None) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin, env=settings)


def environment(**settings: str) -> dict[str, str]:
    """Return this process's environment without settings of its own, and with these."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("INTERLOCK_")}
    return inherited | {"COLUMNS": "80"} | settings


async def run_process(
    *arguments: str | bytes | Path,
    stdin: bytes = b"",
    settings: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command as a process of its own, to its end."""
    with anyio.fail_after(30):
        return await anyio.run_process(
            [*COMMAND, *arguments], input=stdin, check=False, env=environment(**(settings or {})), cwd=cwd
        )
