"""Durable agent to durable agent, beside plain FastStream: a ping, its answer, and what the answer leads to.

Two processes talk over one private RabbitMQ. With Interlock each is an agent with inbox and outbox in SQLite
(synchronous=FULL): nothing is lost or done twice, whichever process dies when. With FastStream each is a subscriber
that publishes its answer and acknowledges; `bare` does so on Interlock's own transport. All publish persistent,
mandatory, confirmed messages to quorum queues. The contenders take turns within every round.

Run it with `python tests/benchmarks/durable.py [--in-flight 10 100 1000] [--store postgresql]` for rates, or with
`--at 200` for how long an answer takes when so many pings a second begin, beside one fdatasync of the same disk. An
answer is two messages, and four commits: what is asked, what came of it there (in, and out), and the answer's arrival.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Coroutine
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
from interlock.bus.acceptance import accept
from interlock.bus.clock import SystemClock
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.store.moments import to_micros
from interlock.bus.store.opening import open_store
from interlock.bus.store.records import Commit, OutboxMessage
from interlock.bus.transport import AgentQueue, Delivery, Outgoing, Topology
from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import new_id
from interlock.protocol.message import ANY, Event, Message, Route
from interlock.protocol.values import ShortText

ASKER, ANSWERER = "asker-agent", "answerer-agent"
TEXT = "x" * 100
ANNOUNCEMENTS = {("all", f"agent_{news}") for news in ("announced", "heartbeat", "offline")}


def _peak() -> float:
    """Return the MiB that this program had at most; getrusage would count its parent before exec as well."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024


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
    pace: float
    """Pings a second; 0 for each as soon as there is an answer to one before."""

    def arguments(self) -> list[str]:
        """Return what to start the process with."""
        numbers = (self.count, self.in_flight, self.pace)
        return [self.contender, self.role, self.url, self.store, *map(str, numbers)]


class Progress:
    """Counts answers, and times them from the first start to the last answer."""

    def __init__(self, task: Task) -> None:
        self._left = task.count
        self._to_start = 0 if task.pace else task.count - task.in_flight
        self._done = anyio.Event()
        self._began_at: dict[str, float] = {}
        self._took: list[float] = []
        self._count = task.count
        self._pace = task.pace

    def start(self) -> None:
        """Begin the measured time."""
        self._cpu = time.process_time()
        self._began = time.perf_counter()

    async def keep_pace(self, ping: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        """Begin each ping at its moment, whatever became of those before."""
        async with anyio.create_task_group() as tasks:
            for number in range(self._count):
                await anyio.sleep(max(0.0, self._began + number / self._pace - time.perf_counter()))
                self._began_at[str(number)] = time.perf_counter()
                tasks.start_soon(ping, str(number))

    def answered(self, text: str) -> bool:
        """Count an answer; returns whether another ping follows."""
        if (began := self._began_at.pop(text, None)) is not None:
            self._took.append(time.perf_counter() - began)
        self._left -= 1
        if not self._left:
            self._result = {
                "rate": self._count / (time.perf_counter() - self._began),
                "cpu": (time.process_time() - self._cpu) / self._count * 1e6,
                "rss": _peak(),
                "p50": statistics.median(self._took) * 1e3 if self._took else 0.0,
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
        async def again(pong: Pong, context: Context) -> Ping | None:
            return Ping(text=TEXT) if progress.answered(pong.text) else None
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

            async def begin(*texts: str) -> None:
                await store.commit(
                    Commit(outgoing=tuple(_outgoing(Ping(text=text), name, peer, clock) for text in texts))
                )
                runtime.wake()

            await (progress.keep_pace(begin) if task.pace else begin(*[TEXT] * task.in_flight))
            result = await progress.result()
        else:
            cpu = time.process_time()
            await _line()
            spent = (time.process_time() - cpu) / task.count * 1e6
            result = {"cpu": spent, "rss": _peak()}
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


async def bare(task: Task) -> dict[str, float]:
    """Be one of two programs on Interlock's transport alone: validated and confirmed, and remembered nowhere."""
    clock = SystemClock()
    name, peer = (ASKER, ANSWERER) if task.role == "asker" else (ANSWERER, ASKER)
    progress = Progress(task)
    async with AsyncExitStack() as stack:
        transport = await RabbitTransport.connect(task.url, identity=name, clock=clock, journal=False)
        stack.push_async_callback(transport.aclose)
        deliveries = await stack.enter_async_context(transport.consume(prefetch=256))
        tasks = await stack.enter_async_context(anyio.create_task_group())

        async def tell(message: Message) -> None:
            written = _outgoing(message, name, peer, clock)
            await transport.publish(
                Outgoing(
                    body=written.body,
                    message_id=written.message_id,
                    sender=name,
                    receiver=peer,
                    type=written.type,
                    conversation_id=written.conversation_id,
                    sent_at=written.created_at,
                )
            )

        async def handle(delivery: Delivery) -> None:
            payload = accept(delivery, catalogue=BENCH_CATALOGUE).payload
            if isinstance(payload, Ping):
                await tell(Pong(text=payload.text))
            elif isinstance(payload, Pong) and progress.answered(payload.text):
                await tell(Ping(text=TEXT))
            await delivery.ack()

        async def receive() -> None:
            async for delivery in deliveries:
                tasks.start_soon(handle, delivery)

        tasks.start_soon(receive)
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await _line()
        if task.role == "asker":

            async def begin(text: str) -> None:
                await tell(Ping(text=text))

            progress.start()
            if task.pace:
                await progress.keep_pace(begin)
            else:
                for _ in range(task.in_flight):
                    tasks.start_soon(begin, TEXT)
            result = await progress.result()
        else:
            cpu = time.process_time()
            await _line()
            spent = (time.process_time() - cpu) / task.count * 1e6
            result = {"cpu": spent, "rss": _peak()}
        tasks.cancel_scope.cancel()
    return result


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
            if progress.answered(message.text):
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

            async def begin(text: str) -> None:
                await tell(Ping(text=text))

            if task.pace:
                await progress.keep_pace(begin)
            else:
                async with anyio.create_task_group() as tasks:
                    for _ in range(task.in_flight):
                        tasks.start_soon(begin, TEXT)
            return await progress.result()
        cpu = time.process_time()
        await _line()
        spent = (time.process_time() - cpu) / task.count * 1e6
        return {"cpu": spent, "rss": _peak()}


async def _line() -> None:
    await anyio.to_thread.run_sync(sys.stdin.readline)


CONTENDERS: dict[str, Callable[[Task], Awaitable[dict[str, float]]]] = {
    "interlock": interlock,
    "bare": bare,
    "faststream": faststream,
}


def play(
    contender: str,
    *,
    urls: dict[str, str],
    stores: dict[str, str],
    count: int,
    in_flight: int,
    pace: float,
    broker: int,
) -> dict[str, Any]:
    """Run both processes of a contender, and return what they say, and what the broker's process has spent."""
    processes = {
        role: subprocess.Popen(
            [
                *(sys.executable, __file__, "--role"),
                *Task(contender, role, urls[role], stores[role], count, in_flight, pace).arguments(),
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
    spent = _cpu_of(broker)
    for role in ("answerer", "asker"):
        _tell(processes[role])
    for role in ("asker", "answerer"):
        process = processes[role]
        if role == "answerer":
            _tell(process)
        assert process.stdout is not None
        said[role] = json.loads(process.stdout.readline())
        if role == "asker":
            said["broker"] = {"cpu": (_cpu_of(broker) - spent) / count * 1e6}
        process.communicate()
    return said


def _cpu_of(process: int) -> float:
    """Return a process's CPU time in seconds; see proc(5)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def fdatasync(folder: Path) -> float:
    """Return the median milliseconds of writing 8 KiB and waiting until the disk has them."""
    took: list[float] = []
    descriptor = os.open(folder / "synced", os.O_RDWR | os.O_CREAT, 0o600)
    for number in range(300):
        os.pwrite(descriptor, b"x" * 8192, number * 8192)
        began = time.perf_counter()
        os.fdatasync(descriptor)
        took.append(time.perf_counter() - began)
    os.close(descriptor)
    return statistics.median(took) * 1e3


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
                for in_flight in (1,) if arguments.at else arguments.in_flight:
                    contenders = arguments.contenders[:: 1 if round_number % 2 else -1]
                    for contender in contenders:
                        count = max(arguments.count, 3 * in_flight) if in_flight > 1 else arguments.count // 10
                        said = await anyio.to_thread.run_sync(
                            partial(
                                play,
                                contender,
                                urls=plain if contender == "faststream" else own,
                                stores=stores,
                                count=round(5 * arguments.at) if arguments.at else count,
                                in_flight=in_flight,
                                pace=arguments.at,
                                broker=broker.pid,
                            )
                        )
                        said["disk"] = {"fdatasync": await anyio.to_thread.run_sync(fdatasync, folder)}
                        found.setdefault((contender, in_flight), []).append(said)
    return [_row(contender, in_flight, said) for (contender, in_flight), said in sorted(found.items())]


async def _postgresql(folder: Path, stack: AsyncExitStack) -> dict[str, str]:
    from interlock.bus.private_postgres import PrivatePostgres
    from interlock.bus.store.postgres.store import migrate_schema

    server = await stack.enter_async_context(PrivatePostgres(folder / "postgres", durable=True))
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
        "broker": median("broker", "cpu"),
        "rss": max(median("asker", "rss"), median("answerer", "rss")),
        "p50": median("asker", "p50"),
        "fdatasync": median("disk", "fdatasync"),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the medians as lines for people."""
    plain = {row["in_flight"]: row["rate"] for row in rows if row["contender"] == "faststream"}
    head = ("contender", "in flight", "answers/s", "x plain", "CPU us", "broker us", "commits", "ops", "MiB")
    lines = ["{:12}{:>10}{:>11}{:>9}{:>8}{:>11}{:>9}{:>6}{:>6}".format(*head)]
    for row in rows:
        ratio = row["rate"] / plain[row["in_flight"]] if row["in_flight"] in plain else float("nan")
        lines.append(
            f"{row['contender']:12}{row['in_flight']:10}{row['rate']:11.0f}{ratio:9.2f}{row['cpu']:8.0f}"
            f"{row['broker']:11.0f}{row['commits']:9.2f}{row['operations']:6.1f}{row['rss']:6.0f}"
        )
    return "\n".join(lines)


def delays(rows: list[dict[str, Any]]) -> str:
    """Return how long answers took, as lines for people."""
    disk = statistics.median(row["fdatasync"] for row in rows)
    took = {row["contender"]: row["p50"] for row in rows}
    lines = [
        f"one fdatasync: p50 {disk:.2f} ms",
        *(f"{who:12} an answer: p50 {p50:.2f} ms" for who, p50 in took.items()),
    ]
    if {"interlock", "bare"} <= took.keys():
        added = (took["interlock"] - took["bare"]) / 2
        lines.append(f"durability adds {added:.2f} ms to a message, {added / disk:.1f} x fdatasync")
    return "\n".join(lines)


def main() -> None:
    """Measure and print, or be one of the processes that are measured."""
    if sys.argv[1:2] == ["--role"]:
        contender, role, url, store, count, in_flight, pace = sys.argv[2:]
        task = Task(contender, role, url, store, int(count), int(in_flight), float(pace))
        sys.stdout.write(json.dumps(asyncio.run(CONTENDERS[contender](task))) + "\n")  # type: ignore[arg-type] # coroutines
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=5000, help="answers per process pair and round")
    parser.add_argument("--in-flight", type=int, nargs="+", default=[100], help="conversations at a time")
    parser.add_argument("--at", type=float, default=0.0, help="pings a second: measure how long answers take")
    parser.add_argument("--store", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--contenders", nargs="+", choices=tuple(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    rows = asyncio.run(measure(arguments))
    sys.stdout.write(
        (json.dumps(rows, indent=2) if arguments.json else (delays if arguments.at else table)(rows)) + "\n"
    )


if __name__ == "__main__":
    main()
