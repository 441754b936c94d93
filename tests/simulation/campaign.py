"""Runs many seeds, in as many processes as wanted, and counts; it knows no fault by name."""

from __future__ import annotations

__all__ = ["Figures", "campaign", "shrunk"]

import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from simulation.choices import Fault
from simulation.world import play

_CHUNK = 200
_KEPT = 20
"""Violations that are told in full."""


@dataclass
class Figures:
    """What a campaign has come to."""

    runs: int = 0
    violations: int = 0
    """Runs with at least one."""
    failing: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    """The first of them: what was wrong, by seed."""
    fired: Counter[str] = field(default_factory=Counter[str])
    """How often each fault has struck."""
    steps: int = 0
    """Steps of tasks."""
    simulated_seconds: float = 0.0
    cpu_seconds: float = 0.0

    def add(self, other: Figures) -> None:
        """Count another part of the campaign in."""
        self.runs += other.runs
        self.violations += other.violations
        for seed, found in other.failing.items():
            if len(self.failing) < _KEPT:
                self.failing[seed] = found
        self.fired.update(other.fired)
        self.steps += other.steps
        self.simulated_seconds += other.simulated_seconds
        self.cpu_seconds += other.cpu_seconds


def part(seeds: range) -> Figures:
    """Run some seeds in this process."""
    figures, begun = Figures(), time.process_time()
    for seed in seeds:
        outcome = play(seed)
        figures.runs += 1
        figures.fired.update(outcome.fired)
        figures.steps += outcome.steps
        figures.simulated_seconds += outcome.ended_at
        if outcome.violations:
            figures.violations += 1
            figures.failing[seed] = outcome.violations
    gc.collect()
    figures.cpu_seconds = time.process_time() - begun
    return figures


def campaign(seeds: range, *, processes: int = 1) -> Iterator[Figures]:
    """Run seeds and yield the figures so far, from time to time."""
    chunks = [seeds[start : start + _CHUNK] for start in range(0, len(seeds), _CHUNK)]
    total = Figures()
    if processes == 1:
        for chunk in chunks:
            total.add(part(chunk))
            yield total
        return
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        for figures in pool.map(part, chunks):
            total.add(figures)
            yield total


def shrunk(seed: int) -> frozenset[Fault]:
    """Return a set of faults none of which can be left out without the seed's violation going away."""
    kinds = play(seed).kinds
    for kind in sorted(kinds):
        if play(seed, only=kinds - {kind}).violations:
            kinds -= {kind}
    return kinds
