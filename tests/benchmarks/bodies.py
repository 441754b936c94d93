"""Bodies of 0.6, 16 and 256 KiB: what size costs."""

from __future__ import annotations

__all__ = ["cases"]

from collections.abc import Iterator
from functools import partial

from benchmarks.rounds import Case, Figures
from benchmarks.stage import FASTSTREAM, INTERLOCK, RAW, Contender, Stage, contenders

SIZES = {"0.6 KiB": (355, 3_000), "16 KiB": (16_384, 1_500), "256 KiB": (262_144, 200)}
"""Bytes of text, and how many messages."""


def cases(stage: Stage, *, quick: bool) -> Iterator[Case]:
    """Yield a case for each contender."""
    for contender in contenders((INTERLOCK, RAW, FASTSTREAM)):
        yield Case(contender.name, partial(_turn, stage, contender, 4 if quick else 1))


def _turn(stage: Stage, contender: Contender, divisor: int) -> Iterator[tuple[str, Figures]]:
    for size, (text, count) in SIZES.items():
        in_flight = min(100, count // divisor)
        yield f"publish, {size}", stage.play(contender, "publish", count // divisor, in_flight, body=text)
        yield f"consume, {size}", stage.play(contender, "consume", count // divisor, 1, body=text)
