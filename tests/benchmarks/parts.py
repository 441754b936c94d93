"""The parts of the suite: what each measures, on which stage, and how long it takes; it writes and prints nothing."""

from __future__ import annotations

__all__ = ["PARTS", "Part"]

import json
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import anyio

from benchmarks import backlog, bodies, latency, layers, memory, peers, processes, requests
from benchmarks.rounds import Case, interleave
from benchmarks.stage import Stage

_FOLDER = Path(__file__).parent
_NUMBERS = ("--processes", "1", "4", "8")
OnStage: TypeAlias = "Callable[[Stage, bool, int], Any]"
"""Measures over a broker: quickly or not, in so many rounds."""
Alone: TypeAlias = "Callable[[bool, int], Awaitable[Any]]"
"""Measures what needs no broker, or brings its own."""


@dataclass(frozen=True, slots=True)
class Part:
    """One workload, whose results are one file."""

    seconds: int
    """About how long it takes in five rounds, on two cores with nothing else to do."""
    on_stage: OnStage | None = None
    alone: Alone | None = None


def _cases(make: Callable[..., Iterator[Case]]) -> OnStage:
    return lambda stage, quick, rounds: interleave(list(make(stage, quick=quick)), rounds=rounds)


def _backlog(stage: Stage, quick: bool, _: int) -> Any:
    return backlog.measure(stage, quick=quick)


async def _memory(_: bool, rounds: int) -> Any:
    measured = await memory.measure(rounds)
    return {"interlock": [ours for ours, _ in measured], "faststream": [theirs for _, theirs in measured]}


async def _layers(_: bool, rounds: int) -> Any:
    return layers.measure(rounds)


async def _program(quick: bool, rounds: int, *, name: str, arguments: tuple[str, ...], shorter: tuple[str, ...]) -> Any:
    """Run a benchmark that is a program of its own, and return its JSON."""
    options = ("--json", "--rounds", str(rounds), *(shorter if quick else arguments))
    told = await anyio.run_process([sys.executable, str(_FOLDER / name), *options], stderr=None)
    return json.loads(told.stdout)


def _of(name: str, *arguments: str, shorter: tuple[str, ...] | None = None) -> Alone:
    return partial(_program, name=name, arguments=arguments, shorter=arguments if shorter is None else shorter)


async def _replicas(quick: bool, rounds: int) -> Any:
    options = ("--json", "--rounds", str(rounds), "--count", "500" if quick else "2000", *_NUMBERS)
    told = await anyio.run_process([sys.executable, str(_FOLDER / "replicas.py"), *options], stderr=None)
    return [json.loads(line) for line in told.stdout.splitlines()]


_PAIRS = ("--contenders", "interlock", "faststream", "--in-flight")

PARTS: dict[str, Part] = {
    "peers": Part(210, on_stage=_cases(peers.cases)),
    "latency": Part(60, on_stage=_cases(latency.cases)),
    "requests": Part(60, on_stage=_cases(requests.cases)),
    "bodies": Part(70, on_stage=_cases(bodies.cases)),
    "processes": Part(90, on_stage=_cases(processes.cases)),
    "backlog": Part(80, on_stage=_backlog),
    "durable": Part(
        100,
        alone=_of(
            *("durable.py", *_PAIRS, "1", "10", "100", "1000", "--count", "2000"),
            shorter=(*_PAIRS, "1", "10", "100", "1000", "--count", "500"),
        ),
    ),
    "durable-postgresql": Part(
        60,
        alone=_of(
            *("durable.py", "--store", "postgresql", *_PAIRS, "10", "100", "--count", "2000"),
            shorter=("--store", "postgresql", *_PAIRS, "10", "100", "--count", "500"),
        ),
    ),
    "durable-latency": Part(
        60, alone=_of("durable.py", "--at", "200", "--contenders", "interlock", "bare", "faststream")
    ),
    "replicas": Part(80, alone=_replicas),
    "memory": Part(10, alone=_memory),
    "layers": Part(5, alone=_layers),
    "start": Part(60, alone=_of("start.py")),
}
