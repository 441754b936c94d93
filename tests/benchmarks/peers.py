"""Interlock's bus beside every Python peer and a C client: one private broker, each in a process of its own, in turn.

All publish the same pydantic message, persistent and confirmed, validate it on arrival, and acknowledge it after the
handler. What a peer's documentation cannot give (quorum queue, mandatory) its module says. Contenders take turns within
every round, and the order is turned around from round to round; what counts are the medians' ratios to raw aio-pika.
Run it with `make bench`, or `PYTHONPATH=tests python -m benchmarks.peers [--rounds 5] [--json FILE]` where the packages
of tests/benchmarks/requirements.lock are installed.
"""

from __future__ import annotations

__all__ = ["CONTENDERS", "Contender", "measure", "table"]

import argparse
import asyncio
import importlib.util
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

import aio_pika
import anyio.to_thread

from benchmarks.contenders.common import BODY, QUEUE
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.transport import AgentQueue, Topology

RAW = "aio-pika"
FOLDER = Path(__file__).parent
Results: TypeAlias = dict[str, dict[str, dict[str, float]]]
"""By work and contender: medians of rate (messages a second), cpu (microseconds a message), memory (MiB)."""


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who is measured."""

    name: str
    module: str
    needs: str
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    pipelines: bool = True
    """Whether it can have several publishes unconfirmed."""
    is_interlock: bool = False


CONTENDERS = (
    Contender("Interlock", "interlock_bus", "interlock", is_interlock=True),
    Contender("Interlock, journal on", "interlock_bus", "interlock", {"BENCH_JOURNAL": "on"}, is_interlock=True),
    Contender("Interlock by aiormq", "interlock_bus", "interlock", {"BENCH_CLIENT": "aiormq"}, is_interlock=True),
    Contender(RAW, "raw", "aio_pika"),
    Contender("FastStream", "faststream_broker", "faststream"),
    Contender("Taskiq", "taskiq_tasks", "taskiq_aio_pika"),
    Contender("Dramatiq", "dramatiq_actors", "dramatiq", pipelines=False),
    Contender("Celery", "celery_tasks", "celery", pipelines=False),
    Contender("pika, blocking", "pika_blocking", "pika", pipelines=False),
    Contender("C client", "", "", is_interlock=False),
)

C_CLIENT = "C client"


@dataclass(frozen=True, slots=True)
class Work:
    """One publish scene, and the draining of what it published."""

    name: str
    count: int
    in_flight: int


def works(*, quick: bool) -> tuple[Work, ...]:
    """Return what is measured."""
    many = 4_000 if quick else 20_000
    return (
        Work("publish, one by one", 300 if quick else 1_000, 1),
        Work("publish, 200 in flight", many, 200),
        Work("publish, 500 in flight", many, 500),
    )


def contenders(names: Sequence[str] = ()) -> Iterator[Contender]:
    """Yield those that are named, or all that are installed."""
    for contender in CONTENDERS:
        if names and contender.name not in names:
            continue
        if contender.name == C_CLIENT:
            if shutil.which("gcc") and Path("/usr/include/amqp.h").exists():
                yield contender
        elif importlib.util.find_spec(contender.needs) is not None:
            yield contender


class Stage:
    """The broker with its queues, and how a contender's scene is played on it."""

    def __init__(self, broker: PrivateBroker, folder: Path) -> None:
        self._broker = broker
        self._folder = folder

    async def set_up(self) -> None:
        """Declare the queues: ours by our own topology, the peers' a plain quorum queue."""
        admin = await RabbitTransport.connect(self._broker.url(ADMIN), identity=ADMIN)
        await admin.declare(Topology((AgentQueue("backend-agent"), AgentQueue("devops-agent"))))
        await admin.aclose()
        async with await aio_pika.connect(self._broker.url()) as connection, connection.channel() as channel:
            await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})

    def compile(self) -> None:
        """Compile the C client."""
        command = ["gcc", "-O2", "-o", str(self._folder / "ceiling"), str(FOLDER / "contenders" / "ceiling.c")]
        subprocess.run([*command, "-lrabbitmq"], check=True)

    def play(self, contender: Contender, scene: str, count: int, in_flight: int) -> dict[str, float]:
        """Run one scene in a process of its own, and return what it measured."""
        environment = {**os.environ, **contender.environment, "PYTHONPATH": str(FOLDER.parent)}
        done = subprocess.run(
            self._command(contender, scene, count, in_flight),
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if not lines:
            raise RuntimeError(f"{contender.name} did not {scene}: {done.stderr[-2000:]}")
        measured: dict[str, float] = json.loads(lines[-1])
        return measured

    def _command(self, contender: Contender, scene: str, count: int, in_flight: int) -> list[str]:
        if contender.name == C_CLIENT:
            url = urlsplit(self._broker.url())
            login = (unquote(url.path[1:]), url.username or "", unquote(url.password or ""))
            where = (url.hostname or "", str(url.port), *login, QUEUE)
            return [str(self._folder / "ceiling"), scene, *where, str(count), str(in_flight), str(len(BODY))]
        user = {"publish": "devops-agent", "consume": "backend-agent"}[scene] if contender.is_interlock else ADMIN
        module = f"benchmarks.contenders.{contender.module}"
        return [sys.executable, "-m", module, scene, self._broker.url(user), str(count), str(in_flight)]


async def measure(*, rounds: int, quick: bool = False, names: Sequence[str] = ()) -> Results:
    """Return the medians of all rounds."""
    rows = {"devops-agent": {("backend-agent", "infrastructure_ready")}, "backend-agent": set[tuple[str, str]]()}
    found: dict[str, dict[str, list[dict[str, float]]]] = {}
    chosen = list(contenders(names))
    with tempfile.TemporaryDirectory() as directory:
        async with AsyncExitStack() as stack:
            folder = Path(directory)
            broker = await stack.enter_async_context(PrivateBroker(folder / "broker", definitions=definitions(rows)))
            stage = Stage(broker, folder)
            await stage.set_up()
            if any(contender.name == C_CLIENT for contender in chosen):
                stage.compile()
            for number in range(rounds):
                for contender in chosen[:: -1 if number % 2 else 1]:
                    for scene, one in await anyio.to_thread.run_sync(_round, stage, contender, quick):
                        found.setdefault(scene, {}).setdefault(contender.name, []).append(one)
                sys.stderr.write(f"round {number + 1} of {rounds}\n")
    return {
        scene: {
            name: {what: statistics.median(each[what] for each in runs) for what in runs[0]}
            for name, runs in by_name.items()
        }
        for scene, by_name in found.items()
    }


def _round(stage: Stage, contender: Contender, quick: bool) -> list[tuple[str, dict[str, float]]]:
    """Play everything once for one contender; what it publishes is what it consumes."""
    measured: list[tuple[str, dict[str, float]]] = []
    published = 0
    for work in works(quick=quick):
        if work.in_flight > 1 and not contender.pipelines:
            continue
        count = work.count
        measured.append((work.name, stage.play(contender, "publish", count, work.in_flight)))
        published += count
    if not contender.pipelines:
        stage.play(contender, "publish", 2_000, 1)
        published += 2_000
    measured.append(("consume", stage.play(contender, "consume", published, 1)))
    return measured


def table(results: Results) -> str:
    """Return the medians as lines for people."""
    lines = [f"{'work':24}{'contender':24}{'msg/s':>9}{'x raw':>8}{'CPU us':>9}{'raw/CPU':>9}{'MiB':>6}"]
    for work, by_name in results.items():
        raw = by_name.get(RAW)
        for name, row in by_name.items():
            rate, cpu = (row["rate"] / raw["rate"], raw["cpu"] / row["cpu"]) if raw else (float("nan"), float("nan"))
            figures = f"{row['rate']:9.0f}{rate:8.2f}{row['cpu']:9.1f}{cpu:9.2f}{row['memory']:6.0f}"
            lines.append(f"{work:24}{name:24}{figures}")
    return "\n".join(lines)


def circumstances() -> dict[str, Any]:
    """Return what a reader must know of where this was measured."""
    packages = (
        "aio-pika",
        "aiormq",
        "pydantic",
        "faststream",
        "taskiq",
        "taskiq-aio-pika",
        "dramatiq",
        "celery",
        "pika",
    )
    installed = [name for name in packages if importlib.util.find_spec(name.replace("-", "_")) is not None]
    return {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "body": len(BODY),
        "packages": {name: version(name) for name in installed},
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a fifth of the messages")
    parser.add_argument("--json", type=Path, help="also write the medians and the versions here")
    parser.add_argument("--only", nargs="+", default=(), help="contenders by name")
    arguments = parser.parse_args()
    results = asyncio.run(measure(rounds=arguments.rounds, quick=arguments.quick, names=arguments.only))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"where": circumstances(), "results": results}, indent=1) + "\n")
    sys.stdout.write(table(results) + "\n")


if __name__ == "__main__":
    main()
