"""Durable agent to durable agent, beside plain FastStream: a ping, its answer, and what the answer leads to.

Two processes talk over one private RabbitMQ. With Interlock each is an agent with inbox and outbox in SQLite
(synchronous=FULL): nothing is lost or done twice, whichever process dies when. With FastStream each is a subscriber
that publishes its answer and acknowledges. Both sides of both publish persistent, mandatory, confirmed messages to
quorum queues. Run it with `python tests/benchmarks/durable.py [--in-flight 10 100 1000] [--store postgresql]`; the
contenders take turns within every round.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.runtime import Runtime, RuntimeSettings
from interlock.bus.clock import SystemClock
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.store.moments import to_micros
from interlock.bus.store.opening import open_store
from interlock.bus.store.records import Commit, OutboxMessage
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import new_id
from interlock.protocol.message import ANY, Event, Message, Route
from interlock.protocol.values import ShortText

ASKER, ANSWERER = "asker-agent", "answerer-agent"
TEXT = "x" * 100
ANNOUNCEMENTS = {("all", f"agent_{news}") for news in ("announced", "heartbeat", "offline")}


class Ping(Event, type="ping", route=Route.of(ANY, ANY)):
    """What is sent there."""

    text: ShortText


class Pong(Event, type="pong", route=Route.of(ANY, ANY)):
    """What comes back, and leads to the next."""

    text: ShortText


BENCH_CATALOGUE = CATALOGUE.with_messages(Ping, Pong)


@dataclass(frozen=True, slots=True)
class Task:
    """What one process is to do."""

    contender: str
    role: str
    url: str
    store: str
    count: int
    in_flight: int

    def arguments(self) -> list[str]:
        """Return what to start the process with."""
        return [self.contender, self.role, self.url, self.store, str(self.count), str(self.in_flight)]


class Progress:
    """Counts answers, and times them from the first start to the last answer."""

    def __init__(self, task: Task) -> None:
        self._left = task.count
        self._to_start = task.count - task.in_flight
        self._done = anyio.Event()
        self.seconds: list[float] = []
        self._count = task.count

    def start(self) -> None:
        """Begin the measured time."""
        self._cpu = time.process_time()
        self._began = time.perf_counter()

    def answered(self) -> bool:
        """Count an answer; returns whether another ping follows."""
        self._left -= 1
        if not self._left:
            self._result = {
                "rate": self._count / (time.perf_counter() - self._began),
                "cpu": (time.process_time() - self._cpu) / self._count * 1e6,
                "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
            self._done.set()
        self._to_start -= 1
        return self._to_start >= 0

    async def result(self) -> dict[str, float]:
        """Return rate, microseconds of CPU per answer, and MiB of memory."""
        await self._done.wait()
        return self._result


async def interlock(task: Task) -> dict[str, float]:
    """Be one of Interlock's two agents."""
    clock = SystemClock()
    name, peer = (ASKER, ANSWERER) if task.role == "asker" else (ANSWERER, ASKER)
    agent = Agent(name, catalogue=BENCH_CATALOGUE)
    progress = Progress(task)

    if task.role == "asker":

        @agent.on
        async def again(_: Pong, context: Context) -> Ping | None:
            return Ping(text=TEXT) if progress.answered() else None
    else:

        @agent.on
        async def answer(message: Ping, context: Context) -> Pong:
            return Pong(text=message.text)

    async with AsyncExitStack() as stack:
        transport = await RabbitTransport.connect(task.url, identity=name, clock=clock, journal=False)
        stack.push_async_callback(transport.aclose)
        store = await open_store(task.store, agent=name, clock=clock)
        stack.push_async_callback(store.aclose)
        runtime = Runtime(
            agent,
            transport=transport,
            store=store,
            clock=clock,
            settings=RuntimeSettings(heartbeat=3600, concurrency=64, prefetch=256),
        )
        tasks = await stack.enter_async_context(anyio.create_task_group())
        ready = anyio.Event()
        tasks.start_soon(partial(runtime.run, ready=ready))
        await ready.wait()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await _line()
        if task.role == "asker":
            progress.start()
            first = tuple(_outgoing(Ping(text=TEXT), name, peer, clock) for _ in range(task.in_flight))
            await store.commit(Commit(outgoing=first))
            runtime.wake()
            result = await progress.result()
        else:
            cpu = time.process_time()
            await _line()
            spent = (time.process_time() - cpu) / task.count * 1e6
            result = {"cpu": spent, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
        statistics_ = store.statistics()
        result["operations"], result["commits"] = statistics_.operations / task.count, statistics_.commits / task.count
        tasks.cancel_scope.cancel()
    return result


def _outgoing(message: Message, sender: str, receiver: str, clock: SystemClock) -> OutboxMessage:
    now = clock.now()
    envelope = Envelope.wrap(message, sender=sender, receiver=receiver, sent_at=now, id=new_id())
    return OutboxMessage(
        message_id=envelope.id,
        receiver=receiver,
        type=envelope.type,
        conversation_id=envelope.conversation_id,
        body=encode(envelope),
        created_at=now,
        causation_id=None,
        reply_to=None,
        traceparent=None,
    )


async def faststream(task: Task) -> dict[str, float]:
    """Be one of FastStream's two subscribers."""
    from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue

    own, other = (f"fs-{name}" for name in (("asker", "answerer") if task.role == "asker" else ("answerer", "asker")))
    queues = {name: RabbitQueue(name, queue_type=QueueType.QUORUM, durable=True) for name in (own, other)}
    broker = RabbitBroker(task.url, logger=None, default_channel=Channel(prefetch_count=256))
    progress = Progress(task)

    async def tell(message: Message) -> None:
        await broker.publish(message, queues[other], persist=True, mandatory=True)

    if task.role == "asker":

        @broker.subscriber(queues[own])
        async def again(message: Pong) -> None:
            if progress.answered():
                await tell(Ping(text=TEXT))
    else:

        @broker.subscriber(queues[own])
        async def answer(message: Ping) -> None:
            await tell(Pong(text=message.text))

    async with broker:
        await broker.declare_queue(queues[other])
        await broker.start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await _line()
        if task.role == "asker":
            progress.start()
            async with anyio.create_task_group() as tasks:
                for _ in range(task.in_flight):
                    tasks.start_soon(tell, Ping(text=TEXT))
            return await progress.result()
        cpu = time.process_time()
        await _line()
        spent = (time.process_time() - cpu) / task.count * 1e6
        return {"cpu": spent, "rss": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


async def _line() -> None:
    await anyio.to_thread.run_sync(sys.stdin.readline)


CONTENDERS: dict[str, Callable[[Task], Awaitable[dict[str, float]]]] = {
    "interlock": interlock,
    "faststream": faststream,
}


def play(contender: str, *, urls: dict[str, str], stores: dict[str, str], count: int, in_flight: int) -> dict[str, Any]:
    """Run both processes of a contender, and return what they say."""
    processes = {
        role: subprocess.Popen(
            [
                *(sys.executable, __file__, "--role"),
                *Task(contender, role, urls[role], stores[role], count, in_flight).arguments(),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for role in ("answerer", "asker")
    }
    said: dict[str, Any] = {}
    for role, process in processes.items():
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", f"{contender}'s {role} did not start"
    for role in ("answerer", "asker"):
        _tell(processes[role])
    for role in ("asker", "answerer"):
        process = processes[role]
        if role == "answerer":
            _tell(process)
        assert process.stdout is not None
        said[role] = json.loads(process.stdout.readline())
        process.communicate()
    return said


def _tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


async def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return a row for each contender and number of conversations in flight."""
    rows = {
        ASKER: {(ANSWERER, "ping"), *ANNOUNCEMENTS},
        ANSWERER: {(ASKER, "pong"), *ANNOUNCEMENTS},
    }
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as directory:
        async with AsyncExitStack() as stack:
            folder = Path(directory)
            broker = await stack.enter_async_context(PrivateBroker(folder / "broker", definitions=definitions(rows)))
            admin = await RabbitTransport.connect(broker.url(ADMIN), identity=ADMIN)
            await admin.declare(Topology((AgentQueue(ASKER), AgentQueue(ANSWERER))))
            await admin.aclose()
            if arguments.store == "postgresql":
                stores = await _postgresql(folder, stack)
            else:
                stores = {role: str(folder / f"{role}.sqlite") for role in ("asker", "answerer")}
            own = {"asker": broker.url(ASKER), "answerer": broker.url(ANSWERER)}
            plain = dict.fromkeys(own, broker.url())
            for round_number in range(arguments.rounds):
                for in_flight in arguments.in_flight:
                    contenders = arguments.contenders[:: 1 if round_number % 2 else -1]
                    for contender in contenders:
                        said = await anyio.to_thread.run_sync(
                            partial(
                                play,
                                contender,
                                urls=own if contender == "interlock" else plain,
                                stores=stores,
                                count=max(arguments.count, 3 * in_flight) if in_flight > 1 else arguments.count // 10,
                                in_flight=in_flight,
                            )
                        )
                        found.setdefault((contender, in_flight), []).append(said)
    return [_row(contender, in_flight, said) for (contender, in_flight), said in sorted(found.items())]


async def _postgresql(folder: Path, stack: AsyncExitStack) -> dict[str, str]:
    from interlock.bus.private_postgres import PrivatePostgres
    from interlock.bus.store.postgres.store import migrate_schema

    server = await stack.enter_async_context(PrivatePostgres(folder / "postgres"))
    now = to_micros(SystemClock().now())
    for name in (ASKER, ANSWERER):
        await anyio.to_thread.run_sync(partial(migrate_schema, server.url(), agent=name, now=now))
    return dict.fromkeys(("asker", "answerer"), server.url())


def _row(contender: str, in_flight: int, said: list[dict[str, Any]]) -> dict[str, Any]:
    def median(role: str, what: str) -> float:
        return statistics.median(float(each[role].get(what, 0.0)) for each in said)

    return {
        "contender": contender,
        "in_flight": in_flight,
        "rate": median("asker", "rate"),
        "cpu": median("asker", "cpu") + median("answerer", "cpu"),
        "commits": median("asker", "commits") + median("answerer", "commits"),
        "operations": median("asker", "operations") + median("answerer", "operations"),
        "rss": max(median("asker", "rss"), median("answerer", "rss")),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the medians as lines for people."""
    plain = {row["in_flight"]: row["rate"] for row in rows if row["contender"] == "faststream"}
    head = ("contender", "in flight", "answers/s", "x plain", "CPU us", "commits", "ops", "MiB")
    lines = ["{:12}{:>10}{:>11}{:>9}{:>8}{:>9}{:>6}{:>6}".format(*head)]
    for row in rows:
        ratio = row["rate"] / plain[row["in_flight"]] if row["in_flight"] in plain else float("nan")
        lines.append(
            f"{row['contender']:12}{row['in_flight']:10}{row['rate']:11.0f}{ratio:9.2f}{row['cpu']:8.0f}"
            f"{row['commits']:9.2f}{row['operations']:6.1f}{row['rss']:6.0f}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print, or be one of the processes that are measured."""
    if sys.argv[1:2] == ["--role"]:
        contender, role, url, store, count, in_flight = sys.argv[2:]
        task = Task(contender, role, url, store, int(count), int(in_flight))
        sys.stdout.write(json.dumps(asyncio.run(CONTENDERS[contender](task))) + "\n")  # type: ignore[arg-type] # coroutines
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=5000, help="answers per process pair and round")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[100], help="conversations at a time")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--contenders", nargs="+", choices=tuple(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = asyncio.run(measure(arguments))
    sys.stdout.write((json.dumps(rows, indent=2) if arguments.json else table(rows)) + "\n")


if __name__ == "__main__":
    main()
