"""Where the main job's time goes: `interlock demo --broker private` by phases, of one checkout or several in turns.

Run it with `python tests/benchmarks/main_job.py [--rounds N] [--beside PYTHON]... [--json]`, where PYTHON is the
interpreter of another checkout's environment. A phase ends with a line of the demonstration's own narration, and its
time is the wall clock's when that line arrives. One round before the others fills each checkout's cache of bytecode.
CPU time is that of all processes, RabbitMQ and PostgreSQL with them. Medians of the rounds, in seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

PHASES: Mapping[str, str] = {
    "the command's own start": "Working in",
    "sandbox and broker": "The team is at work",
    "agents, until the first has answered": "requirements_analysed",
    "estimate and budget": "plan_request",
    "plan and its review": "infrastructure_apply",
    "rehearsal: apply and verify": "infrastructure_apply",
    "production: apply and verify": "monitoring_request",
    "monitoring": "documentation_request",
    "documentation": "handoff_request",
    "the peers accept": "ticket_close_request",
    "closing the ticket": "change_concluded",
    "report, and the end of all processes": "",
}
"""Each with how the line that ends it begins, or a word in it; the last one ends with the process."""


def phases(lines: Iterable[tuple[float, str]], *, ended: float) -> dict[str, float]:
    """Return the seconds of each phase; `lines` are the narration with the seconds since the command was given."""
    arriving = iter(lines)
    found: dict[str, float] = {}
    before = 0.0
    for name, mark in PHASES.items():
        moment = (
            next((at for at, line in arriving if line.startswith(mark) or mark in line.split()), ended)
            if mark
            else ended
        )
        found[name] = moment - before
        before = moment
    return {**found, "all of it": ended}


def play(python: Path, cache: Path) -> dict[str, float]:
    """Run one demonstration, and return its phases and the CPU time of all its processes."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("INTERLOCK_", "PYTHON"))}
    environment |= {"PYTHONPYCACHEPREFIX": str(cache), "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryDirectory() as folder:
        used, began = _children(), time.monotonic()
        command = [str(python), "-m", "interlock.agents.cli", "demo", "--broker", "private", "--report", folder]
        with subprocess.Popen(
            command, env=environment, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as process:
            assert process.stdout is not None
            lines = [(time.monotonic() - began, line) for line in process.stdout]
            process.wait()
        ended = time.monotonic() - began
    if process.returncode:
        raise SystemExit("".join(line for _, line in lines[-20:]))
    return {**phases(lines, ended=ended), "CPU time": _children() - used}


def _children() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="Where the main job's time goes.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--beside", type=Path, action="append", default=[], metavar="PYTHON")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    pythons = [path.absolute() for path in (Path(sys.executable), *arguments.beside)]
    with tempfile.TemporaryDirectory() as folder:
        caches = {python: Path(folder) / str(number) for number, python in enumerate(pythons)}
        for python, cache in caches.items():
            play(python, cache)
        rounds = [{python: play(python, cache) for python, cache in caches.items()} for _ in range(arguments.rounds)]
    medians = {
        str(python): {name: statistics.median(one[python][name] for one in rounds) for name in rounds[0][python]}
        for python in pythons
    }
    if arguments.json:
        runs = [{str(python): found for python, found in one.items()} for one in rounds]
        sys.stdout.write(json.dumps({"medians": medians, "rounds": runs}, indent=2) + "\n")
        return
    for name in next(iter(medians.values())):
        figures = "  ".join(f"{found[name]:8.2f}" for found in medians.values())
        sys.stdout.write(f"{name:<40}{figures}\n")


if __name__ == "__main__":
    main()
