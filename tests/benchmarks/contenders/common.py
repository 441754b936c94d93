"""What every contender shares: the message, the clock, and the way to report; it knows no client."""

from __future__ import annotations

__all__ = ["BODY", "EVENT", "MESSAGE", "PREFETCH", "QUEUE", "Event", "Measurement", "count_down", "in_tasks", "run"]

import argparse
import asyncio
import inspect
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeAlias

from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.messages.handoff import InfrastructureReady

QUEUE = "bench"
PREFETCH = 100
_FIXTURE = Path(__file__).parents[2] / "fixtures" / "messages" / "infrastructure_ready.json"
MESSAGE = InfrastructureReady.model_validate_json(json.dumps(json.loads(_FIXTURE.read_bytes())["payload"]))
"""The specification's own example."""
Event = Envelope[InfrastructureReady]
"""A pydantic model like any other: those who bring no messages of their own send and validate this one."""
EVENT = Event.wrap(MESSAGE, sender="devops-agent", receiver="backend-agent", sent_at=datetime.now(UTC))
BODY = encode(EVENT)


class Measurement:
    """Counts what was done, from its making until `finish`."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._cpu = time.process_time()
        self._began = time.perf_counter()

    def finish(self, **more: float) -> None:
        """Print messages per second, microseconds of CPU per message, and MiB of memory, as one line of JSON."""
        seconds, cpu = time.perf_counter() - self._began, time.process_time() - self._cpu
        found = {"rate": self._count / seconds, "cpu": cpu / self._count * 1e6, "memory": _peak(), **more}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


def _peak() -> float:
    """Return the most memory held since the process began, in MiB; what `getrusage` says includes its parent's."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


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


async def in_tasks(publish: Callable[[], Awaitable[object]], count: int, tasks: int) -> None:
    """Publish this often, from so many tasks at a time."""

    async def some(share: int) -> None:
        for _ in range(share):
            await publish()

    async with asyncio.TaskGroup() as group:
        for number in range(tasks):
            group.create_task(some(count // tasks + (number < count % tasks)))
