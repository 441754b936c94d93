"""Requests and their answers: one asks, one answers, over two connections of one process."""

from __future__ import annotations

__all__ = ["cases"]

from collections.abc import Iterator
from functools import partial

from benchmarks.rounds import Case, Figures
from benchmarks.stage import FASTSTREAM, INTERLOCK, RAW, Contender, Stage, contenders


def cases(stage: Stage, *, quick: bool) -> Iterator[Case]:
    """Yield a case for each contender that has a way to ask."""
    counts = (100, 500) if quick else (200, 1_000)
    for contender in contenders((INTERLOCK, RAW, FASTSTREAM)):
        yield Case(contender.name, partial(_turn, stage, contender, *counts))


def _turn(stage: Stage, contender: Contender, few: int, many: int) -> Iterator[tuple[str, Figures]]:
    for in_flight, count in ((1, few), (100, many)):
        yield f"request, {in_flight} in flight", stage.play(contender, "request", count, in_flight)
