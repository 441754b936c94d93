"""Whatever the network does to the messages of a change, it ends once, and production waits for a person's yes."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from agents.coordinator.simulation import Run
from interlock.agents.coordinator import Change

SEEDS = int(os.environ.get("INTERLOCK_SEEDS", "20000"))
"""How many runs; 100,000 for a release."""


@pytest.mark.slow
def test_every_run_ends_once_and_production_is_changed_only_on_a_persons_yes() -> None:
    ends: Counter[str] = Counter()
    visited: set[str] = set()
    for seed in range(SEEDS):
        run = Run(seed)
        ends[run.play()] += 1
        visited |= run.visited
    assert set(ends) == {name for name, state in Change.table.states.items() if state.final}
    assert visited | {"received"} == set(Change.table.states), "the simulation must reach every state"


def test_the_same_seed_gives_the_same_run() -> None:
    first, second = Run(seed=7), Run(seed=7)
    assert first.play() == second.play()
    assert first.change.sent == second.change.sent
    assert first.change.audit == second.change.audit
