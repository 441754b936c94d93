"""One to eight processes, all on one broker: each publishes to, or consumes from, a queue of its own."""

from __future__ import annotations

__all__ = ["cases"]

from collections.abc import Iterator
from functools import partial

from benchmarks.rounds import Case, Figures
from benchmarks.stage import INTERLOCK, RAW, Contender, Stage, contenders

PROCESSES = (1, 2, 4, 8)


def cases(stage: Stage, *, quick: bool) -> Iterator[Case]:
    """Yield a case for each contender."""
    for contender in contenders((INTERLOCK, RAW)):
        yield Case(contender.name, partial(_turn, stage, contender, (1_000 if quick else 4_000) * contender.stamina))


def _turn(stage: Stage, contender: Contender, count: int) -> Iterator[tuple[str, Figures]]:
    for processes in PROCESSES:
        yield (
            f"publish, {processes} processes",
            stage.play_together(contender, "publish", count, 200, processes=processes),
        )
        yield (
            f"consume, {processes} processes",
            stage.play_together(contender, "consume", count, 1, processes=processes),
        )
