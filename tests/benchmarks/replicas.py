"""How many answers a second 1, 2, 4 and 8 processes give: replicas of one agent over PostgreSQL, agents over SQLite.

A backlog of pings waits in RabbitMQ, each a conversation of its own. All processes begin at once, answer each ping
durably (inbox, lease, outbox, confirm, acknowledgement), and the time runs until the last answer is in the asker's
queue. Over PostgreSQL, which waits for its disk, they are replicas: one queue, one store. Over SQLite a store has one
process: there each is an agent with a queue and a store of its own.

Run it with `python tests/benchmarks/replicas.py [--store postgresql sqlite] [--processes 1 2 4 8]`. Numbers of
processes take turns within every round; `--json` prints a line for each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aio_pika
import anyio
import anyio.to_thread

from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.runtime import Runtime, RuntimeSettings
from interlock.bus.clock import SystemClock
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.private_postgres import PrivatePostgres
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.store.moments import to_micros
from interlock.bus.store.opening import open_store
from interlock.bus.store.postgres.store import migrate_schema
from interlock.bus.transport import AgentQueue, Outgoing, Topology
from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import new_id
from interlock.protocol.message import ANY, Event, Route
from interlock.protocol.values import ShortText

ASKER = "asker-agent"
TEXT = "x" * 100
ANNOUNCEMENTS = {("all", f"agent_{news}") for news in ("announced", "heartbeat", "offline")}


class Ping(Event, type="ping", route=Route.of(ANY, ANY)):
    """What waits."""

    text: ShortText


class Pong(Event, type="pong", route=Route.of(ANY, ANY)):
    """What comes of it."""

    text: ShortText


BENCH_CATALOGUE = CATALOGUE.with_messages(Ping, Pong)


@dataclass(frozen=True, slots=True)
class Worker:
    """One process: an agent by its name, or one of its replicas."""

    name: str
    url: str
    store: str

    def start(self) -> subprocess.Popen[str]:
        """Start the process; it says when it is ready."""
        return subprocess.Popen(
            [sys.executable, __file__, "--work", self.name, self.url, self.store],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )


async def work(worker: Worker) -> dict[str, float]:
    """Answer pings from the word to begin until the word to end."""
    clock = SystemClock()
    agent = Agent(worker.name, catalogue=BENCH_CATALOGUE)

    @agent.on
    async def answer(message: Ping, context: Context) -> Pong:
        return Pong(text=message.text)

    async with AsyncExitStack() as stack:
        transport = await RabbitTransport.connect(worker.url, identity=worker.name, clock=clock, journal=False)
        stack.push_async_callback(transport.aclose)
        store = await open_store(worker.store, agent=worker.name, clock=clock)
        stack.push_async_callback(store.aclose)
        settings = RuntimeSettings(heartbeat=3600, concurrency=64, prefetch=256)
        runtime = Runtime(agent, transport=transport, store=store, clock=clock, settings=settings)
        await _say_and_wait("ready")
        before = resource.getrusage(resource.RUSAGE_SELF)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runtime.run)
            await _say_and_wait("begun")
            tasks.cancel_scope.cancel()
        spent = resource.getrusage(resource.RUSAGE_SELF)
        done = store.statistics()
    cpu = spent.ru_utime + spent.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "rss": _peak(), "operations": done.operations, "commits": done.commits}


def _peak() -> float:
    """Return the MiB that this program had at most; getrusage would count its parent before exec as well."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024


async def _say_and_wait(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()
    await anyio.to_thread.run_sync(sys.stdin.readline)


class Stage:
    """The broker with a queue for every agent and one for their answers, and how it is filled and looked at."""

    def __init__(self, broker: PrivateBroker, stack: AsyncExitStack) -> None:
        self.broker = broker
        self._stack = stack

    async def declare(self, agents: list[str]) -> None:
        """Make the queues."""
        admin = await RabbitTransport.connect(self.broker.url(ADMIN), identity=ADMIN)
        await admin.declare(Topology(tuple(AgentQueue(name) for name in (ASKER, *agents))))
        await admin.aclose()
        self._asker = await RabbitTransport.connect(self.broker.url(ASKER), identity=ASKER, journal=False)
        self._stack.push_async_callback(self._asker.aclose)
        plain = await aio_pika.connect(self.broker.url())
        self._stack.push_async_callback(plain.close)
        self._channel = await plain.channel()

    async def fill(self, agents: list[str], count: int) -> None:
        """Leave pings for the agents, the same number for each; nothing but what is to be counted stays."""
        for queue in (ASKER, *agents):
            await (await self._channel.declare_queue(queue, passive=True)).purge()
        window = anyio.Semaphore(500)

        async def ping(receiver: str) -> None:
            async with window:
                await self._asker.publish(_ping(receiver))

        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(ping, agents[number % len(agents)])

    async def answers(self, count: int) -> float:
        """Wait for so many answers; returns when the last one was seen."""
        while True:
            waiting = (await self._channel.declare_queue(ASKER, passive=True)).declaration_result.message_count
            if waiting is not None and waiting >= count:
                return time.perf_counter()
            await anyio.sleep(0.02)


def _ping(receiver: str) -> Outgoing:
    now = SystemClock().now()
    envelope = Envelope.wrap(Ping(text=TEXT), sender=ASKER, receiver=receiver, sent_at=now, id=new_id())
    return Outgoing(
        body=encode(envelope),
        message_id=envelope.id,
        sender=ASKER,
        receiver=receiver,
        type=envelope.type,
        conversation_id=envelope.conversation_id,
        sent_at=now,
    )


async def play(stage: Stage, workers: list[Worker], *, count: int, server: int | None) -> dict[str, float]:
    """Let the processes answer everything, and return their rate and what an answer has cost."""
    agents = sorted({worker.name for worker in workers})
    count -= count % len(agents)
    await stage.fill(agents, count)
    processes = [worker.start() for worker in workers]
    for process in processes:
        await _hear(process, "ready")
    served = 0.0 if server is None else _cpu_of(server)
    began = time.perf_counter()
    for process in processes:
        _tell(process)
    for process in processes:
        await _hear(process, "begun")
    seconds = await stage.answers(count) - began
    served = (0.0 if server is None else _cpu_of(server)) - served
    for process in processes:
        _tell(process)
    said = [json.loads((await anyio.to_thread.run_sync(process.communicate))[0]) for process in processes]
    total = {key: sum(each[key] for each in said) / count for key in ("cpu", "operations", "commits")}
    return {
        "rate": count / seconds,
        "cpu": total["cpu"] * 1e6,
        "server_cpu": served / count * 1e6,
        "operations": total["operations"],
        "commits": total["commits"],
        "rss": max(each["rss"] for each in said),
    }


async def _hear(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    heard = await anyio.to_thread.run_sync(process.stdout.readline)
    assert heard == word + "\n", f"a process did not say {word!r}"


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def _cpu_of(server: int) -> float:
    """Return the CPU seconds of a server and of the sessions that it has, or had; see proc(5)."""
    ticks = 0
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = status.read_text().rpartition(")")
        except (FileNotFoundError, ProcessLookupError):  # it has just ended
            continue
        fields = rest.split()
        if int(name.split()[0]) == server:
            ticks += sum(int(field) for field in fields[11:15])
        elif int(fields[1]) == server:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each store and number of processes."""
    agents = [f"answerer-{number}-agent" for number in range(max(arguments.processes))]
    rights = {name: {(ASKER, "pong"), *ANNOUNCEMENTS} for name in agents}
    rights[ASKER] = {*((name, "ping") for name in agents), *ANNOUNCEMENTS}
    found: dict[tuple[str, int], list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        async with AsyncExitStack() as stack:
            broker = await stack.enter_async_context(PrivateBroker(folder / "broker", definitions=definitions(rights)))
            stage = Stage(broker, stack)
            await stage.declare(agents)
            server = await stack.enter_async_context(PrivatePostgres(folder / "server", durable=True))
            now = to_micros(SystemClock().now())
            await anyio.to_thread.run_sync(partial(migrate_schema, server.url(), agent=agents[0], now=now))
            casts = {
                (store, number): [
                    Worker(
                        agents[0 if store == "postgresql" else place],
                        broker.url(agents[0 if store == "postgresql" else place]),
                        server.url() if store == "postgresql" else str(folder / f"{place}.sqlite"),
                    )
                    for place in range(number)
                ]
                for store in arguments.store
                for number in arguments.processes
            }
            for round_number in range(arguments.rounds):
                for (store, number), workers in list(casts.items())[:: -1 if round_number % 2 else 1]:
                    played = await play(
                        stage, workers, count=arguments.count, server=server.pid if store == "postgresql" else None
                    )
                    found.setdefault((store, number), []).append(played)
    return [_row(store, number, found) for store, number in casts]


def _row(store: str, processes: int, found: dict[tuple[str, int], list[dict[str, float]]]) -> dict[str, Any]:
    played = found[store, processes]
    fewest = min(number for kind, number in found if kind == store)
    ratios = [each["rate"] / one["rate"] for each, one in zip(played, found[store, fewest], strict=True)]
    medians = {key: statistics.median(each[key] for each in played) for key in played[0]}
    return {"store": store, "processes": processes, **medians, "ratio": statistics.median(ratios)}


def table(rows: list[dict[str, Any]]) -> str:
    """Return the medians as lines for people; CPU and commits are per answer."""
    head = ("store", "processes", "answers/s", "x fewest", "CPU us", "server us", "commits", "ops", "MiB")
    lines = ["{:12}{:>10}{:>11}{:>10}{:>8}{:>11}{:>9}{:>6}{:>6}".format(*head)]
    lines += [
        f"{row['store']:12}{row['processes']:10}{row['rate']:11.0f}{row['ratio']:10.2f}{row['cpu']:8.0f}"
        f"{row['server_cpu']:11.0f}{row['commits']:9.2f}{row['operations']:6.1f}{row['rss']:6.0f}"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print, or be one of the processes that are measured."""
    if sys.argv[1:2] == ["--work"]:
        sys.stdout.write(json.dumps(asyncio.run(work(Worker(*sys.argv[2:])))) + "\n")
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=4000, help="answers per run")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--store", nargs="+", choices=("postgresql", "sqlite"), default=["postgresql", "sqlite"])
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = asyncio.run(measure(arguments))
    sys.stdout.write(("\n".join(json.dumps(row) for row in rows) if arguments.json else table(rows)) + "\n")


if __name__ == "__main__":
    main()
