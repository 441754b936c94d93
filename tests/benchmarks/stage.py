"""Where contenders are measured: one private broker, each scene in a process of its own; it knows no workload."""

from __future__ import annotations

__all__ = [
    "AIORMQ",
    "CONTENDERS",
    "C_CLIENT",
    "FASTSTREAM",
    "INTERLOCK",
    "JOURNAL",
    "RAW",
    "Contender",
    "Stage",
    "contenders",
    "stage",
]

import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aio_pika

from benchmarks.contenders.common import BODY, QUEUE, READY
from benchmarks.rounds import Figures
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.transport import AgentQueue, Topology

INTERLOCK, JOURNAL, AIORMQ, RAW, FASTSTREAM, C_CLIENT = (
    "Interlock",
    "Interlock, journal on",
    "Interlock by aiormq",
    "aio-pika",
    "FastStream",
    "C client",
)
PROCESSES = 8
_FOLDER = Path(__file__).parent
_QUORUM = {"x-queue-type": "quorum"}
_SENDER, _RECEIVER = "devops-agent", "backend-agent"


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who is measured."""

    name: str
    module: str
    needs: str
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    pipelines: bool = True
    """Whether it can have several publishes unconfirmed."""
    stamina: int = 1
    """How many times as many messages it is given, so that the fast are not measured for an instant."""
    is_interlock: bool = False

    @property
    def queue(self) -> str:
        """The queue of those that can be told one; nobody meets what somebody else has left behind."""
        return f"{QUEUE}-{self.module}"


CONTENDERS = (
    Contender(INTERLOCK, "interlock_bus", "interlock", stamina=4, is_interlock=True),
    Contender(JOURNAL, "interlock_bus", "interlock", {"BENCH_JOURNAL": "on"}, stamina=4, is_interlock=True),
    Contender(AIORMQ, "interlock_bus", "interlock", {"BENCH_CLIENT": "aiormq"}, is_interlock=True),
    Contender(RAW, "raw", "aio_pika"),
    Contender(FASTSTREAM, "faststream_broker", "faststream"),
    Contender("Taskiq", "taskiq_tasks", "taskiq_aio_pika"),
    Contender("Dramatiq", "dramatiq_actors", "dramatiq", pipelines=False),
    Contender("Celery", "celery_tasks", "celery", pipelines=False),
    Contender("pika, blocking", "pika_blocking", "pika", pipelines=False),
    Contender(C_CLIENT, "ceiling", "", stamina=4),
)


def contenders(names: Sequence[str] = ()) -> Iterator[Contender]:
    """Yield those that are named, or all; of these, those that are installed."""
    for contender in CONTENDERS:
        if names and contender.name not in names:
            continue
        if contender.name == C_CLIENT:
            if shutil.which("gcc") and Path("/usr/include/amqp.h").exists():
                yield contender
            else:
                sys.stderr.write("no C client: gcc or amqp.h (Debian's librabbitmq-dev) is missing\n")
        elif importlib.util.find_spec(contender.needs) is not None:
            yield contender
        else:
            sys.stderr.write(f"no {contender.name}: {contender.needs} is not installed\n")


@asynccontextmanager
async def stage() -> AsyncGenerator[Stage]:
    """Start a broker with the queues that contenders use, and end it."""
    workers = tuple(f"worker-{number}-agent" for number in range(PROCESSES))
    rows: dict[str, set[tuple[str, str]]] = {
        _SENDER: {(_RECEIVER, "infrastructure_ready"), *((agent, "parcel") for agent in (*workers, _RECEIVER))},
        _RECEIVER: {(_SENDER, "infrastructure_acknowledged")},
        **{agent: set() for agent in workers},
    }
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        async with PrivateBroker(folder / "broker", definitions=definitions(rows)) as broker:
            admin = await RabbitTransport.connect(broker.url(ADMIN), identity=ADMIN)
            await admin.declare(Topology(tuple(AgentQueue(agent) for agent in rows)))
            await admin.aclose()
            async with await aio_pika.connect(broker.url()) as connection, connection.channel() as channel:
                shared = {f"{QUEUE}-{number}" for number in range(PROCESSES)}
                for queue in {contender.queue for contender in CONTENDERS} | shared:
                    await channel.declare_queue(queue, durable=True, arguments={**_QUORUM})
            yield Stage(broker, folder)


class Stage:
    """The broker with its queues, and how a contender's scene is played on it."""

    def __init__(self, broker: PrivateBroker, folder: Path) -> None:
        """Prefer `stage`."""
        self._broker = broker
        self._folder = folder

    @property
    def broker(self) -> str:
        """RabbitMQ's version."""
        return self._broker.version

    def play(self, contender: Contender, scene: str, count: int, in_flight: int, *, body: int = 0) -> Figures:
        """Run one scene in a process of its own, and return what it measured; `body` is bytes of text, or 0."""
        figures = _finished(contender, scene, self._start(contender, scene, count, in_flight, body=body))
        return {what: figure for what, figure in figures.items() if what not in {"began", "ended"}}

    def play_together(self, contender: Contender, scene: str, count: int, in_flight: int, *, processes: int) -> Figures:
        """Run one scene in so many processes, each with a queue and a share of its own; all begin at once."""
        share = count // processes
        started = [
            self._start(contender, scene, share, in_flight, body=_PARCEL, number=number) for number in range(processes)
        ]
        for process in started:
            assert process.stdout is not None
            if process.stdout.readline() != f"{READY}\n":
                raise RuntimeError(f"{contender.name} did not {scene}: {process.communicate()[1][-2000:]}")
        for process in started:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        every = [_finished(contender, scene, process) for process in started]
        seconds = max(one["ended"] for one in every) - min(one["began"] for one in every)
        return {
            "rate": share * processes / seconds,
            "cpu": statistics.mean(one["cpu"] for one in every),
            "memory": sum(one["memory"] for one in every),
        }

    def start(self, contender: Contender, scene: str, count: int, in_flight: int) -> subprocess.Popen[str]:
        """Start one scene, to be watched while it runs."""
        return self._start(contender, scene, count, in_flight, body=0)

    def _start(
        self, contender: Contender, scene: str, count: int, in_flight: int, *, body: int, number: int | None = None
    ) -> subprocess.Popen[str]:
        receiver = _RECEIVER if number is None else f"worker-{number}-agent"
        environment = {
            **os.environ,
            **contender.environment,
            "PYTHONPATH": str(_FOLDER.parent),
            "BENCH_BODY": str(body),
            "BENCH_QUEUE": contender.queue if number is None else f"{QUEUE}-{number}",
            "BENCH_RECEIVER": receiver,
            "BENCH_TOGETHER": "" if number is None else "yes",
            "BENCH_OTHER_URL": self._broker.url(receiver if contender.is_interlock else ADMIN),
        }
        if contender.name == C_CLIENT:
            command = self._c_client(contender, scene, count, in_flight)
        else:
            user = (receiver if scene == "consume" else _SENDER) if contender.is_interlock else ADMIN
            module = f"benchmarks.contenders.{contender.module}"
            command = [sys.executable, "-m", module, scene, self._broker.url(user), str(count), str(in_flight)]
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def _c_client(self, contender: Contender, scene: str, count: int, in_flight: int) -> list[str]:
        program, compiler = self._folder / "ceiling", shutil.which("gcc")
        assert compiler is not None, "`contenders` yields no C client without a compiler"
        if not program.exists():
            source = str(_FOLDER / "contenders" / "ceiling.c")
            subprocess.run([compiler, "-O2", "-o", str(program), source, "-lrabbitmq"], check=True)
        url = urlsplit(self._broker.url())
        login = (unquote(url.path[1:]), url.username or "", unquote(url.password or ""))
        where = (url.hostname or "", str(url.port), *login, contender.queue)
        return [str(program), scene, *where, str(count), str(in_flight), str(len(BODY))]


_PATIENCE = 900.0
"""Seconds that a scene may take; a million messages on a busy machine take minutes."""
_PARCEL = 355
"""Bytes of text that make a parcel as large as the example."""


def _finished(contender: Contender, scene: str, process: subprocess.Popen[str]) -> Figures:
    try:
        said, complaints = process.communicate(timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        said, complaints = process.communicate()
    lines = [line for line in said.splitlines() if line.startswith("{")]
    if not lines:
        raise RuntimeError(f"{contender.name} did not {scene}: {complaints[-2000:]}")
    measured: Figures = json.loads(lines[-1])
    return measured
