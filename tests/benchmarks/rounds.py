"""Taking turns: what is compared is measured in rounds, forwards and backwards by turns; it knows no broker."""

from __future__ import annotations

__all__ = ["Case", "Figures", "Results", "interleave", "median", "ratio"]

import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

Figures: TypeAlias = dict[str, float]
"""At least rate (messages a second), cpu (microseconds a message) and memory (MiB) of the client."""
Results: TypeAlias = dict[str, dict[str, list[Figures]]]
"""By work and contender, what each round measured."""


@dataclass(frozen=True, slots=True)
class Case:
    """What one contender does in one turn; `play` returns figures by work."""

    contender: str
    play: Callable[[], Iterable[tuple[str, Figures]]]


def interleave(cases: Sequence[Case], *, rounds: int) -> Results:
    """Play every case in every round, and return all figures.

    What the machine does meanwhile meets all alike, and who follows whom is turned around from round to round.
    """
    found: Results = {}
    for number in range(rounds):
        for case in cases[:: -1 if number % 2 else 1]:
            for work, figures in case.play():
                rounded = {what: float(f"{figure:.4g}") for what, figure in figures.items()}
                found.setdefault(work, {}).setdefault(case.contender, []).append(rounded)
        sys.stderr.write(f"  round {number + 1} of {rounds}\n")
    names = dict.fromkeys(case.contender for case in cases)
    return {work: {name: by_name[name] for name in names if name in by_name} for work, by_name in found.items()}


def median(runs: Iterable[Figures], what: str) -> float:
    """Return the median of a figure over the rounds."""
    return statistics.median(run[what] for run in runs)


def ratio(ones: Sequence[Figures], others: Sequence[Figures], what: str) -> float:
    """Return the median of the rounds' own ratios: each pair met the same machine."""
    return statistics.median(one[what] / other[what] for one, other in zip(ones, others, strict=True))
