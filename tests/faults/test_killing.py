"""Kills are planned by a seed, and meet living children only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faults.killing import BROKER, STATES, TARGETS, plan_kills, strike
from interlock.agents.coordinator.change import Change

SEEDS = st.integers(min_value=0, max_value=2**31)


@given(SEEDS, SEEDS)
def test_a_seed_gives_the_same_plan_again_with_one_kill_per_target_in_the_order_of_states(seed: int, run: int) -> None:
    plan = plan_kills(seed, run)
    moments = [list(STATES).index(kill.state) for kill in plan]

    assert plan == plan_kills(seed, run)
    assert sorted(kill.target for kill in plan) == sorted(TARGETS)
    assert moments == sorted(set(moments))


def test_one_target_can_be_killed_several_times_in_different_states() -> None:
    plan = plan_kills(1, 1, targets=[BROKER] * 3)

    assert [kill.target for kill in plan] == [BROKER] * 3
    assert len({kill.state for kill in plan}) == 3


def test_the_states_are_those_of_the_workflow_in_its_order() -> None:
    assert [name for name in Change.table.states if name in STATES] == list(STATES)


@pytest.mark.skipif(sys.platform != "linux", reason="kills through pidfd")
def test_only_a_living_child_is_hit_and_only_once() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with child:
        assert not strike(child.pid, parent=1)
        assert child.poll() is None
        assert strike(child.pid, parent=os.getpid())
        assert not strike(child.pid, parent=os.getpid())
    assert child.returncode == -signal.SIGKILL
    assert not strike(child.pid, parent=os.getpid())
