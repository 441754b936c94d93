"""`interlock demo` as a process of its own, and what it left behind."""

from __future__ import annotations

__all__ = ["COMMAND", "Demonstration", "demonstrate", "environment"]

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

COMMAND = (sys.executable, "-m", "interlock.agents.cli", "demo", "--json")


@dataclass(frozen=True)
class Demonstration:
    """One that has ended."""

    ran: subprocess.CompletedProcess[bytes]
    report: Path
    """The folder of its report."""

    @property
    def document(self) -> dict[str, Any]:
        """Standard output, which has to be one JSON object and nothing else."""
        document: dict[str, Any] = json.loads(self.ran.stdout)
        return document


def environment() -> dict[str, str]:
    """Return this process's environment without settings of the product."""
    return {name: value for name, value in os.environ.items() if not name.startswith("INTERLOCK_")}


async def demonstrate(directory: Path, *arguments: str | Path, broker: str = "memory") -> Demonstration:
    """Run a demonstration to its end."""
    report = directory / "report"
    command = [*COMMAND, "--broker", broker, "--report", str(report), *map(str, arguments)]
    with anyio.fail_after(170):
        ran = await anyio.run_process(command, check=False, cwd=directory, env=environment())
    return Demonstration(ran, report)
