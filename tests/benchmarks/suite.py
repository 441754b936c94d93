"""The whole suite: `make bench`. Each part is measured, printed as a table, and kept as one file of JSON.

Files go to build/bench/results. `--only PART …` chooses parts, `--resume` leaves out those that were measured already,
and `--quick` measures too little to be quoted: it says whether everything runs. `make performance` then makes the files
docs/performance and writes docs/performance.md from them.
"""

from __future__ import annotations

__all__ = ["MEASURED", "main"]

import argparse
import asyncio
import json
import os
import platform
import re
import sqlite3
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import anyio.to_thread

from benchmarks import tables
from benchmarks.contenders.common import BODY
from benchmarks.parts import PARTS
from benchmarks.stage import Stage, stage

ROOT = Path(__file__).parents[2]
MEASURED = ROOT / "build" / "bench" / "results"
PACKAGES = (
    *("interlock", "aio-pika", "aiormq", "pydantic", "faststream"),
    *("taskiq", "taskiq-aio-pika", "dramatiq", "celery", "pika"),
)


def _installed() -> dict[str, str]:
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    """Return what the processor calls itself, where Linux says so."""
    information = Path("/proc/cpuinfo")
    named = re.search(r"model name\s*: (.*)", information.read_text()) if information.is_file() else None
    return named[1] if named else platform.machine()


def circumstances(*, rounds: int, quick: bool) -> dict[str, Any]:
    """Return what a reader must know of when and where this was measured."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "sqlite": sqlite3.sqlite_version,
        "body": len(BODY),
        "rounds": rounds,
        "quick": quick,
        "packages": _installed(),
    }


async def measure(names: Sequence[str], *, rounds: int, quick: bool) -> None:
    """Measure the parts, and write each as soon as it is measured; those that share a broker come first."""
    alone = [name for name in names if PARTS[name].on_stage is None]
    shared = [name for name in names if name not in alone]
    if shared:
        async with stage() as own:
            for name in shared:
                await _measure(name, own, rounds=rounds, quick=quick)
    for name in alone:
        await _measure(name, None, rounds=rounds, quick=quick)


async def _measure(name: str, own: Stage | None, *, rounds: int, quick: bool) -> None:
    part, where = PARTS[name], circumstances(rounds=rounds, quick=quick)
    sys.stderr.write(f"{name}, about {part.seconds} s\n" if not quick else f"{name}\n")
    began = time.perf_counter()
    if own is not None:
        assert part.on_stage is not None
        where["rabbitmq"] = own.broker
        found = await anyio.to_thread.run_sync(partial(part.on_stage, own, quick, rounds))
    else:
        assert part.alone is not None
        found = await part.alone(quick, rounds)
    where["seconds"] = round(time.perf_counter() - began)
    _path(name).write_text(_json({"where": where, "found": found}))
    sys.stdout.write(f"\n# {name}, {where['seconds']} s\n\n{tables.of(name, found)}")
    sys.stdout.flush()


def _json(result: Any) -> str:
    """Return JSON with a line for each round, so that one can read what has changed."""
    text = json.dumps(result, indent=1)
    return re.sub(r"[\[{][^\[\]{}]*[\]}]", lambda one: re.sub(r"\s*\n\s*", " ", one[0]), text) + "\n"


def _path(name: str) -> Path:
    return MEASURED / f"{name}.json"


def _is_there(name: str, *, rounds: int, quick: bool) -> bool:
    if not _path(name).is_file():
        return False
    where = json.loads(_path(name).read_text())["where"]
    return (where["rounds"], where["quick"]) == (rounds, quick)


def main() -> None:
    """Measure, write, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few messages and one round: does everything run?")
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS), metavar="PART")
    parser.add_argument("--resume", action="store_true", help="leave out what was measured in as many rounds before")
    given = parser.parse_args()
    rounds: int = 1 if given.quick else given.rounds
    MEASURED.mkdir(parents=True, exist_ok=True)
    names = [name for name in given.only if not (given.resume and _is_there(name, rounds=rounds, quick=given.quick))]
    minutes = sum(PARTS[name].seconds for name in names) * (0.2 if given.quick else rounds / 5) / 60
    sys.stdout.write(
        f"Measuring {', '.join(names) or 'nothing'}: {rounds} round(s) over a private RabbitMQ, "
        f"{minutes:.0f} minutes on an idle machine. Loopback only; nothing stays running.\n"
    )
    sys.stdout.flush()
    asyncio.run(measure(names, rounds=rounds, quick=given.quick))
    sys.stdout.write(f"\nResults are in {MEASURED.relative_to(ROOT)}. `make performance` puts them into the page.\n")


if __name__ == "__main__":
    main()
