"""Which process is killed when: a plan that a seed gives, and the kill itself, provably of a living process."""

from __future__ import annotations

__all__ = ["STATES", "TARGETS", "Kill", "plan_kills", "strike"]

import os
import select
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from interlock.protocol.roles import TEAM

BROKER = "broker"
TARGETS = (*TEAM, BROKER)

STATES: Mapping[str, float] = {
    "received": 1.0,
    "analysing": 1.5,
    "over_budget": 0.2,
    "estimated": 0.2,
    "in_progress": 0.4,
    "coded": 1.5,
    "planned": 0.2,
    "in_review": 0.3,
    "approved_test": 5.0,
    "applied_test": 0.3,
    "verified_test": 0.2,
    "approved": 0.3,
    "applying": 4.0,
    "applied": 0.3,
    "verified": 0.8,
    "monitored": 0.3,
    "documented": 0.3,
    "handed_off": 1.0,
    "accepted": 0.5,
}
"""The way to an accepted change, in order, and about how many seconds a change stays in each state undisturbed."""

_DEATH = 5_000
"""Milliseconds that a killed process may take to be gone."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One planned kill: `delay` seconds after the change has come to `state`, or past it."""

    target: str
    state: str
    delay: float


def plan_kills(seed: int, run: int, *, targets: Sequence[str] = TARGETS) -> tuple[Kill, ...]:
    """Return one kill for each of these, in random order at random moments. The same numbers give the same plan.

    A target that is named several times is killed as often, in different states.
    """
    random = Random(f"{seed}:{run}")
    moments = sorted(random.sample(range(len(STATES)), len(targets)))
    states = [list(STATES)[moment] for moment in moments]
    return tuple(
        Kill(target, state, round(random.uniform(0.0, STATES[state]), 2))
        for target, state in zip(random.sample(targets, len(targets)), states, strict=True)
    )


def strike(pid: int, *, parent: int) -> bool:
    """Send SIGKILL to a living child of `parent`, wait for its death, and return whether it lived until then.

    A number that stands for another process by now, a zombie, and nobody at all are left alone (Linux: pidfd_open(2)
    holds on to the process, proc(5) names its parent).
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        gone = select.poll()
        gone.register(descriptor, select.POLLIN)
        if gone.poll(0) or _parent(pid) != parent:
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return bool(gone.poll(_DEATH))
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def _parent(pid: int) -> int | None:
    """Return the parent's process id: the second field behind the name, which may itself hold brackets."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return int(text.rpartition(")")[2].split()[1])
