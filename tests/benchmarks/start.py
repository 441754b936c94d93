"""What a start costs: imports, one agent's process until it takes messages, and the whole team in its sandbox.

Run it with `python tests/benchmarks/start.py [--rounds N] [--json]`. What is imported is compared in turns with
`import aio_pika, pydantic`, which any program on RabbitMQ with typed messages imports. Times are CPU time of processes
of their own, with bytecode that is cached already, as it is once something was installed. `resident` is MiB; in `own`
what processes share is divided among them (PSS). Only Linux says so.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import anyio

from interlock.agents.demo.stage import RabbitStage
from interlock.agents.demo.world import World
from interlock.agents.permissions import allowed_rows
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.roles import BACKEND, COORDINATOR

ROOT = Path(__file__).parents[2]
TICKET = ROOT / "tests/fixtures/tickets/proj-140.json"
BASE = "import aio_pika, pydantic"
IMPORTS = {
    BASE: ("-c", BASE),
    "import pydantic": ("-c", "import pydantic"),
    "import aio_pika": ("-c", "import aio_pika"),
    "from interlock.protocol import *": ("-c", "from interlock.protocol import *"),
    "import interlock.bus": ("-c", "import interlock.bus"),
    "import interlock.bus.rabbitmq": ("-c", "import interlock.bus.rabbitmq"),
    "from interlock.agents import *": ("-c", "from interlock.agents import *"),
    "interlock --help": ("-m", "interlock.agents.cli", "--help"),
}
COMMAND = (sys.executable, "-m", "interlock.agents.cli")
READY = b"taking messages"
TICK = 1 / os.sysconf("SC_CLK_TCK")


def environment(cache: Path) -> dict[str, str]:
    """Return this process's environment without settings of the product, and with a bytecode cache of our own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INTERLOCK_", "PYTHON"))}
    return {**kept, "PYTHONPYCACHEPREFIX": str(cache), "PYTHONUNBUFFERED": "1"}


def imports(rounds: int, env: dict[str, str]) -> dict[str, dict[str, float]]:
    """Return milliseconds of each, and the median of the rounds' ratios to the base; one round fills the cache."""
    taken: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for number in range(rounds + 1):
        for name, arguments in IMPORTS.items():
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, *arguments], env=env, check=True, stdout=subprocess.DEVNULL)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            if number:
                taken[name].append(spent * 1000)
    return {
        name: {
            "milliseconds": statistics.median(times),
            "ratio": statistics.median(one / base for one, base in zip(times, taken[BASE], strict=True)),
        }
        for name, times in taken.items()
    }


def footprint(pid: int) -> dict[str, float]:
    """Return the CPU milliseconds and MiB of a process until now."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    sizes = {name: int(size) / 1024 for name, size in re.findall(r"(?m)^(Rss|Pss):\s+(\d+) kB", rollup)}
    return {
        "milliseconds": (int(stat[11]) + int(stat[12])) * TICK * 1000,
        "resident": sizes["Rss"],
        "own": sizes["Pss"],
    }


def until_ready(command: Sequence[str], folder: Path, env: dict[str, str]) -> dict[str, float]:
    """Start an agent, and return what it has cost when it takes messages; it is ended in good order."""
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        said: list[bytes] = []
        for line in process.stderr:
            said.append(line)
            if READY in line:
                found = {"wall": (time.perf_counter() - began) * 1000, **footprint(process.pid)}
                process.terminate()
                process.stderr.read()
                return found
    raise RuntimeError(f"{command} ended before it was ready: {b''.join(said).decode()}")


async def agents(rounds: int, folder: Path, env: dict[str, str]) -> dict[str, dict[str, float]]:
    """Return the medians of an agent's start, with a new store and with its own."""
    peer = folder / "peer.py"
    readme = await anyio.Path(ROOT / "README.md").read_text()
    (program,) = re.findall(r"(?s)<!-- file: peer.py -->\n```python\n(.*?)```", readme)
    await anyio.Path(peer).write_text(program)
    found: dict[str, dict[str, float]] = {}
    async with PrivateBroker(folder / "broker", definitions=definitions(allowed_rows())) as broker:
        admin = await RabbitTransport.connect(broker.url(), identity=ADMIN, journal=False)
        await admin.declare(Topology((AgentQueue(BACKEND), AgentQueue(COORDINATOR))))
        await admin.aclose()
        for name, agent, command in (
            ("the README's agent", BACKEND, [sys.executable, str(peer)]),
            (
                "interlock run coordinator",
                COORDINATOR,
                [sys.executable, "-m", "interlock.agents.cli", "run", COORDINATOR],
            ),
        ):
            first: list[dict[str, float]] = []
            again: list[dict[str, float]] = []
            for number in range(rounds + 1):
                state = folder / f"{agent}-{number}"
                own = {**env, "INTERLOCK_BROKER_URL": broker.url(agent), "INTERLOCK_STATE_DIR": str(state)}
                for starts in (first, again):
                    started = await anyio.to_thread.run_sync(until_ready, command, folder, own)
                    if number:
                        starts.append(started)
            found[f"{name}, first start"] = _medians(first)
            found[name] = _medians(again)
    return found


async def team(folder: Path) -> dict[str, dict[str, float]]:
    """Return what each of the team's processes has cost once all of them take messages, and the sum."""
    found: dict[str, dict[str, float]] = {}
    await anyio.Path(folder).mkdir()
    async with World(folder / "world", tickets=(TICKET,)) as world:
        surroundings = await world.ready()
        began = time.perf_counter()
        async with RabbitStage(folder, settings=surroundings) as stage:
            waiting = dict(stage.processes)
            with anyio.fail_after(120):
                while waiting:
                    await anyio.sleep(0.02)
                    for agent, pid in [*waiting.items()]:
                        if READY in await anyio.Path(folder / f"{agent}.log").read_bytes():
                            del waiting[agent]
                            found[agent] = {"wall": (time.perf_counter() - began) * 1000, **footprint(pid)}
    total = {key: sum(one[key] for one in found.values()) for key in ("milliseconds", "resident", "own")}
    return {**found, "all": {"wall": max(one["wall"] for one in found.values()), **total}}


def _medians(starts: Sequence[dict[str, float]]) -> dict[str, float]:
    return {key: statistics.median(start[key] for start in starts) for key in starts[0]}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="What a start costs.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        env = environment(folder / "bytecode")
        os.environ.update(env)  # the team's processes have this one's
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        told = {
            "imports": imports(given.rounds, env),
            "agents": anyio.run(agents, given.rounds, folder, env),
            "team": [anyio.run(team, folder / turn) for turn in ("to fill the cache", "measured")][1],
        }
    if given.json:
        print(json.dumps({"unit": "milliseconds of CPU time, MiB", **told}, indent=2))
        return
    for part, rows in told.items():
        print(f"\n{part:<40}" + "".join(f"{key:>14}" for key in next(iter(rows.values()))))
        for row, figures in rows.items():
            print(f"{row:<40}" + "".join(f"{figure:14.2f}" for figure in figures.values()))


if __name__ == "__main__":
    main()
