"""What telemetry costs: one agent's whole path, from delivery through inbox, handler and outbox to the answer.

Run it with `python tests/benchmarks/telemetry.py [--against CHECKOUT]`. It takes the CPU time per message of processes
in turn, so that what the machine does meanwhile meets all alike; differences are paired within a round. `--against`
names a checkout of a version that has no telemetry, whose code then runs the same work.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import timeit
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any, cast

import anyio

from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.runtime import Runtime, RuntimeSettings
from interlock.bus.clock import SystemClock
from interlock.bus.memory import MemoryBroker
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.transport import AgentQueue, Delivery, Outgoing, Topology
from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import new_id
from interlock.protocol.message import ANY, Event, Route
from interlock.protocol.values import ShortText

AGENT, PEER = "library-agent", "reader-agent"
MESSAGES, CONVERSATIONS = 2000, 200
VARIANTS = ("off", "spans to a file", "sampled out", "metrics")


class Ping(Event, type="ping", route=Route.of(ANY, ANY)):
    """What is sent there."""

    text: ShortText


class Pong(Event, type="pong", route=Route.of(ANY, ANY)):
    """What comes back."""

    text: ShortText


async def work(variant: str, folder: Path) -> float:
    """Return microseconds of CPU time per message, of all threads of this process."""
    clock, broker = SystemClock(), MemoryBroker()
    broker.declare(Topology((AgentQueue(PEER), AgentQueue(AGENT))))
    agent = Agent(AGENT, catalogue=CATALOGUE.with_messages(Ping, Pong))

    @agent.on
    async def answer(message: Ping, _: Context) -> Pong:
        return Pong(text=message.text)

    async with AsyncExitStack() as stack:
        store = await SqliteStore.open(folder / "agent.sqlite", agent=AGENT, clock=clock)
        stack.push_async_callback(store.aclose)
        options = await _options(variant, folder, stack)
        runtime = Runtime(
            agent,
            transport=broker.connect(AGENT),
            store=store,
            clock=clock,
            settings=RuntimeSettings(heartbeat=3600),
            **options,  # type: ignore[arg-type] # the version without telemetry takes none
        )
        tasks = await stack.enter_async_context(anyio.create_task_group())
        ready = anyio.Event()
        tasks.start_soon(partial(runtime.run, ready=ready))
        await ready.wait()
        peer = broker.connect(PEER)
        await _exchange(peer, clock, MESSAGES // 4)  # what is imported and made on the first time
        began = time.process_time()
        await _exchange(peer, clock, MESSAGES)
        spent = time.process_time() - began
        runtime.stop()
    return spent / MESSAGES * 1e6


async def _options(variant: str, folder: Path, stack: AsyncExitStack) -> dict[str, object]:
    if variant in {"off", "without"}:
        return {}
    from interlock.agents.telemetry.opening import open_telemetry
    from interlock.agents.telemetry.settings import TelemetrySettings

    settings = {
        "spans to a file": TelemetrySettings(traces=str(folder / "trace.jsonl")),
        "sampled out": TelemetrySettings(traces=str(folder / "trace.jsonl"), sample_ratio=0.0),
        "metrics": TelemetrySettings(metrics="prometheus"),
    }[variant]
    opened = await stack.enter_async_context(
        open_telemetry(settings, agent=AGENT, version="1", system="memory", clock=SystemClock())
    )
    return {"telemetry": opened.telemetry}


async def _exchange(peer: object, clock: SystemClock, count: int) -> None:
    from interlock.bus.memory import MemoryTransport

    assert isinstance(peer, MemoryTransport)
    conversations = [new_id() for _ in range(CONVERSATIONS)]
    async with peer.consume(prefetch=1000) as deliveries, anyio.create_task_group() as tasks:

        async def ask() -> None:
            for number in range(count):
                envelope = Envelope.wrap(
                    Ping(text=f"number {number}"),
                    sender=PEER,
                    receiver=AGENT,
                    sent_at=clock.now(),
                    conversation_id=conversations[number % CONVERSATIONS],
                )
                await peer.publish(Outgoing.of(envelope))

        tasks.start_soon(ask)
        for _ in range(count):
            await (await anext(deliveries)).ack()


def switched_off() -> float:
    """Return the microseconds that all calls of telemetry for one message and its answer take when it is off.

    The fastest of many turns: what is left when nobody else has the processor.
    """
    from interlock.bus.subject import about
    from interlock.bus.telemetry import OFF, current

    envelope: Any = Envelope.wrap(Ping(text="hello"), sender=PEER, receiver=AGENT, sent_at=SystemClock().now())
    outgoing, delivery = Outgoing.of(envelope), cast("Delivery", None)

    def one_message() -> None:
        with OFF.receiving(delivery) as receiving:
            receiving.concerns(envelope)
            with about(AGENT, envelope.conversation_id, envelope.id, envelope.type):
                receiving.note("interlock.receipt", "new")
        with about(AGENT, envelope.conversation_id, envelope.id, envelope.type), OFF.processing(envelope, attempt=1):
            current().traceparent(envelope.id, envelope.traceparent)
        with about(AGENT, envelope.conversation_id, envelope.id, envelope.type), OFF.sending(outgoing, attempt=1):
            pass

    return min(timeit.repeat(one_message, number=500, repeat=200)) / 500 * 1e6


def measure(variant: str, against: Path | None) -> float:
    """Run one variant in a process of its own."""
    environment = dict(os.environ)
    if variant == "without":
        assert against is not None
        environment["PYTHONPATH"] = ":".join(str(against / layer) for layer in ("agents", "bus", "protocol"))
    command = [sys.executable, __file__, "--child", variant]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True).stdout)


def main() -> None:
    """Print medians, and the median of the paired differences to `without`, or to `off`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--against", type=Path, help="a checkout without telemetry")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            print(anyio.run(work, given.child, Path(folder)))
        return
    print(f"switched off     {switched_off():7.1f} us per message by the calls of telemetry alone")
    # Twice the same, so that it can be seen what a difference of nothing looks like.
    variants = (*(("without", "without") if given.against else ()), *VARIANTS)
    rounds = [[measure(variant, given.against) for variant in variants] for _ in range(given.rounds)]
    for number, variant in enumerate(variants):
        medians = statistics.median(taken[number] for taken in rounds)
        differences = sorted(taken[number] - taken[0] for taken in rounds)
        quarter = len(differences) // 4
        print(
            f"{variant:<16} {medians:7.1f} us per message, {statistics.median(differences):+7.1f} us to {variants[0]} "
            f"(middle half {differences[quarter]:+.1f} to {differences[-1 - quarter]:+.1f})"
        )


if __name__ == "__main__":
    main()
