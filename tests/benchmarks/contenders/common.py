"""What every contender shares: the message, the clock, and the way to report; it knows no client."""

from __future__ import annotations

__all__ = [
    "ANSWER",
    "BODY",
    "CATALOGUE",
    "EVENT",
    "MESSAGE",
    "OTHER_URL",
    "PREFETCH",
    "QUEUE",
    "READY",
    "RECEIVER",
    "Event",
    "Latencies",
    "Measurement",
    "at_pace",
    "count_down",
    "in_tasks",
    "run",
    "warm_up",
]

import argparse
import asyncio
import inspect
import json
import os
import re
import statistics
import sys
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, TypeAlias

from pydantic import Field

from interlock.protocol.catalogue import CATALOGUE as OWN_CATALOGUE
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import ANY, Message, Route
from interlock.protocol.message import Event as EventMessage
from interlock.protocol.messages.handoff import InfrastructureAcknowledged, InfrastructureReady


class Parcel(EventMessage, type="parcel", route=Route.of(ANY, ANY)):
    """A message of any size, from anybody to anybody."""

    text: Annotated[str, Field(max_length=1_000_000)]


CATALOGUE = OWN_CATALOGUE.with_messages(Parcel)
QUEUE = os.environ.get("BENCH_QUEUE", "bench")
RECEIVER = os.environ.get("BENCH_RECEIVER", "backend-agent")
OTHER_URL = os.environ.get("BENCH_OTHER_URL", "")
"""Where the receiving side of a scene with both sides connects."""
PREFETCH = 100
READY = "ready"
"""What a process says that waits for others before it begins."""
_SIZE = int(os.environ.get("BENCH_BODY", "0"))
_FIXTURE = Path(__file__).parents[2] / "fixtures" / "messages" / "infrastructure_ready.json"
EXAMPLE = InfrastructureReady.model_validate_json(json.dumps(json.loads(_FIXTURE.read_bytes())["payload"]))
"""The specification's own example."""
ANSWER = InfrastructureAcknowledged(accepted=True, config_version="42", pool_size=20)
MESSAGE: Any = Parcel(text="x" * _SIZE) if _SIZE else EXAMPLE
Event: Any = Envelope[Parcel] if _SIZE else Envelope[InfrastructureReady]
"""A pydantic model like any other: those who bring no messages of their own send and validate this one."""
EVENT: Envelope[Message] = Event.wrap(MESSAGE, sender="devops-agent", receiver=RECEIVER, sent_at=datetime.now(UTC))
BODY = encode(EVENT)


class Measurement:
    """Counts what was done, from its making until `finish`; where several processes are measured, all begin at once."""

    def __init__(self, count: int) -> None:
        self._count = count
        if os.environ.get("BENCH_TOGETHER"):
            sys.stdout.write(f"{READY}\n")
            sys.stdout.flush()
            sys.stdin.readline()
        self._cpu = time.process_time()
        self._began = time.perf_counter()

    def finish(self, **more: float) -> None:
        """Print messages per second, microseconds of CPU per message, and MiB of memory, as one line of JSON.

        `began` and `ended` are seconds of a clock that all processes of the machine share.
        """
        ended, cpu = time.perf_counter(), time.process_time() - self._cpu
        found = {
            "rate": self._count / (ended - self._began),
            "cpu": cpu / self._count * 1e6,
            "memory": _peak(),
            "began": self._began,
            "ended": ended,
            **more,
        }
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


def _peak() -> float:
    """Return the MiB of memory that this program had at most; getrusage would count its parent before exec as well."""
    return int(re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[0]) / 1024


class Latencies:
    """Times messages that arrive in the order in which they were sent; the first tenth warms up."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque()
        self._milliseconds: list[float] = []

    def sent(self) -> None:
        """Note that a message is about to be sent."""
        self._sent.append(time.perf_counter())

    def arrived(self) -> None:
        """Note that the oldest message under way was handled."""
        self._milliseconds.append((time.perf_counter() - self._sent.popleft()) * 1000)

    def figures(self) -> dict[str, float]:
        """Return half, and ninety-nine hundredths, of the messages' milliseconds."""
        measured = self._milliseconds[len(self._milliseconds) // 10 :]
        return {"p50": statistics.median(measured), "p99": statistics.quantiles(measured, n=100)[98]}


def count_down(count: int, done: Callable[[], None]) -> Callable[[], None]:
    """Return what calls `done` at its last call."""

    def count_one() -> None:
        nonlocal count
        count -= 1
        if not count:
            done()

    return count_one


Scene: TypeAlias = "Callable[[str, int, int], Awaitable[None] | None]"


def run(**scenes: Scene) -> None:
    """Play the scene that the command line names: `SCENE URL COUNT IN_FLIGHT`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("scene", choices=sorted(scenes))
    parser.add_argument("url")
    parser.add_argument("count", type=int)
    parser.add_argument("in_flight", type=int)
    arguments = parser.parse_args()
    played = scenes[arguments.scene](arguments.url, arguments.count, arguments.in_flight)
    if inspect.isawaitable(played):
        asyncio.run(_awaited(played))


async def _awaited(played: Awaitable[None]) -> None:
    await played


def warm_up(count: int) -> int:
    """Return how many of the messages are published before time is taken; all of them wait in the queue afterwards."""
    return min(count // 4, 500)


async def in_tasks(publish: Callable[[], Awaitable[object]], count: int, tasks: int) -> None:
    """Publish this often, from so many tasks at a time."""

    async def some(share: int) -> None:
        for _ in range(share):
            await publish()

    async with asyncio.TaskGroup() as group:
        for number in range(tasks):
            group.create_task(some(count // tasks + (number < count % tasks)))


async def at_pace(publish: Callable[[], Awaitable[object]], count: int, per_second: int) -> None:
    """Start so many publishes a second, whether earlier ones are confirmed or not."""

    async def one() -> None:
        await publish()

    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / per_second - loop.time()))
            group.create_task(one())
