"""The gate: the fast path stays fast, by ratios of CPU time, memory and commits within one run.

A busy machine changes little of them, and the margins are wide. Beside each limit stands a test in which the mistake
that it is to find is made, and the gate is shut. Figures to be quoted come from `make bench`.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
import timeit
import tracemalloc
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from benchmarks import layers, memory, store
from benchmarks.contenders.common import CATALOGUE, Parcel
from benchmarks.rounds import Case, Figures, Results, interleave, ratio
from benchmarks.stage import AIORMQ, INTERLOCK, RAW, Contender, Stage, contenders, stage
from interlock.bus.private_broker import find_server
from interlock.protocol.codec import decode, encode
from interlock.protocol.envelope import Envelope

LEAST = {"publish, 500 in flight": 2.5, "consume": 2.5}
"""How many times our client's CPU time raw aio-pika's takes, per message."""
MEMORY_BUS = 25.0
"""How many times as many messages as FastStream's TestRabbitBroker, per second of CPU."""
COMMITS = 0.5
"""Commits for each message that is received, claimed, finished and sent, sixteen in flight."""
LAYERS = {
    layers.ENCODE: (layers.DUMP, 1.5),
    layers.PUBLISH: (layers.DUMP, 2.7),
    layers.ACCEPT: (layers.VALIDATE, 2.9),
}
"""How many times as long as what nobody can leave out, pydantic's own work, a layer takes; the limits of what is read
are looked for in a pass of their own, then it is validated once."""
COPIES_OUT, COPIES_IN = 1.5, 2.5
"""How many times its size a large message has in memory at once: when it is written, the body; when it is read, the
text in which limits are looked for, and then what was found in it."""
COUNT, ROUNDS, TURNS = 1_500, 3, 200


def _turn(own: Stage, contender: Contender) -> Iterator[tuple[str, Figures]]:
    yield "publish, 500 in flight", own.play(contender, "publish", COUNT, 500)
    yield "consume", own.play(contender, "consume", COUNT, 1)


async def _measured() -> Results:
    async with stage() as own:
        cases = [Case(each.name, partial(_turn, own, each)) for each in contenders((INTERLOCK, AIORMQ, RAW))]
        return await asyncio.to_thread(interleave, cases, rounds=ROUNDS)


def too_dear(results: Results, contender: str) -> list[str]:
    """Return the works for which the contender's client takes too much CPU."""
    return [
        f"{work}: {gain:.1f} times less CPU than {RAW}, not {LEAST[work]}"
        for work, by_name in results.items()
        if (gain := ratio(by_name[RAW], by_name[contender], "cpu")) < LEAST[work]
    ]


@pytest.fixture(scope="module")
def results() -> Results:
    return asyncio.run(_measured())


needs_rabbitmq = pytest.mark.skipif(find_server() is None, reason="no rabbitmq-server is installed")


@pytest.mark.rabbitmq
@pytest.mark.slow
@needs_rabbitmq
def test_the_bus_takes_a_fraction_of_the_cpu_that_raw_aio_pika_takes(results: Results) -> None:
    assert results.keys() == LEAST.keys()
    assert too_dear(results, INTERLOCK) == []


@pytest.mark.rabbitmq
@pytest.mark.slow
@needs_rabbitmq
def test_the_gate_is_shut_for_the_bus_over_the_stock_client(results: Results) -> None:
    assert len(too_dear(results, AIORMQ)) == len(LEAST)


def cost(one: Callable[[], object], other: Callable[[], object]) -> float:
    """Return how many times as long the one takes; each has many short turns beside the other, the fastest counts."""
    taken: tuple[list[float], list[float]] = ([], [])
    with untraced():
        for _ in range(60):
            for work, times in zip((one, other), taken, strict=True):
                times.append(timeit.timeit(work, timer=time.process_time, number=TURNS))
    return min(taken[0]) / min(taken[1])


@contextmanager
def untraced() -> Generator[None]:
    """Keep coverage from looking at every line, which makes Python dear beside what is compiled."""
    tracer = sys.gettrace()
    sys.settrace(None)
    try:
        yield
    finally:
        sys.settrace(tracer)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_message_is_validated_and_written_once(layer: str) -> None:
    works, (bare, limit) = layers.layers(), LAYERS[layer]

    assert cost(works[layer], works[bare]) < limit


@pytest.mark.parametrize("layer", LAYERS)
def test_the_gate_is_shut_for_doing_so_twice(layer: str) -> None:
    works, (bare, limit) = layers.layers(), LAYERS[layer]

    assert cost(lambda: (works[layer](), works[bare]()), works[bare]) > limit


def in_memory(work: Callable[[], object]) -> float:
    """Return the most bytes that were allocated at once, and are known to Python, as a multiple of the large text's."""
    work()
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / TEXT
    finally:
        tracemalloc.stop()


TEXT = 200_000
LARGE = Envelope[Parcel].wrap(
    Parcel(text="x" * TEXT), sender="devops-agent", receiver="backend-agent", sent_at=datetime.now(UTC)
)
LARGE_BODY = encode(LARGE)


def test_a_large_message_is_not_copied() -> None:
    assert in_memory(lambda: encode(LARGE)) < COPIES_OUT
    assert in_memory(lambda: decode(LARGE_BODY, catalogue=CATALOGUE)) < COPIES_IN


def test_the_gate_is_shut_for_a_second_copy() -> None:
    def copied() -> bytes:
        return bytes(memoryview(LARGE_BODY))

    assert in_memory(lambda: (encode(LARGE), copied())) > COPIES_OUT
    assert in_memory(lambda: decode(copied(), catalogue=CATALOGUE)) > COPIES_IN


async def test_the_memory_bus_leaves_faststreams_behind() -> None:
    with untraced():
        measured = await memory.measure(3)

    assert statistics.median(ours / theirs for ours, theirs in measured) >= MEMORY_BUS


async def test_sixteen_messages_in_flight_share_commits(tmp_path: Path) -> None:
    _, commits = await store.measure(str(tmp_path / "{agent}.db"), 16, alone=False)

    assert commits <= COMMITS


async def test_the_gate_is_shut_for_a_commit_per_operation(tmp_path: Path) -> None:
    _, commits = await store.measure(str(tmp_path / "{agent}.db"), 16, alone=True)

    assert commits > COMMITS
