"""From publish to handler: half of the messages are handled within p50 milliseconds, at a pace that nobody chooses.

Sender and receiver are one process with two connections, so that one clock times both. No claim is made on p99: a
run is too short for it.
"""

from __future__ import annotations

__all__ = ["cases"]

from collections.abc import Iterator
from functools import partial

from benchmarks.rounds import Case, Figures
from benchmarks.stage import FASTSTREAM, INTERLOCK, RAW, Contender, Stage, contenders

PACES = (200, 2_000)


def cases(stage: Stage, *, quick: bool) -> Iterator[Case]:
    """Yield a case for each contender that can do so in one process."""
    for contender in contenders((INTERLOCK, RAW, FASTSTREAM)):
        yield Case(contender.name, partial(_turn, stage, contender, 1 if quick else 2))


def _turn(stage: Stage, contender: Contender, seconds: int) -> Iterator[tuple[str, Figures]]:
    for pace in PACES:
        yield f"latency at {pace:,}/s", stage.play(contender, "latency", pace * seconds, pace)
