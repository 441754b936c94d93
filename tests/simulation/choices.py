"""What a seed decides before a run begins: which faults there are, how likely and how slow; and every later draw."""

from __future__ import annotations

__all__ = ["KINDS", "Choices", "Fault"]

import random
from collections import Counter
from enum import StrEnum


class Fault(StrEnum):
    """What can go wrong. A run has some of them, so that each also meets an otherwise healthy world."""

    CRASH = "crash"
    REFUSE = "publish refused"
    LOSE = "publish lost"
    UNCONFIRM = "confirm lost"
    DUPLICATE = "duplicate"
    REORDER = "reorder"
    PARTITION = "partition"
    REDELIVER = "ack lost"
    STEP = "clock step"
    STORE_AWAY = "store away"
    COMMIT_LOST = "commit's answer lost"
    FORGE = "id reused"
    HANDLER = "handler fails"
    SLOW = "slow handler"
    EFFECT_LOST = "effect's answer lost"
    CANCEL = "cancellation"


KINDS = tuple(Fault)


class Choices:
    """All chance of one run, in the order in which it is asked for, and a count of the faults that it has caused."""

    def __init__(self, seed: int, *, only: frozenset[Fault] | None = None) -> None:
        """`only` leaves faults out without touching any other draw: to shrink a failing run."""
        self.seed = seed
        self._random = random.Random(seed)
        # One draw for all kinds: asking for a kind that is off must cost no draw, or shrinking would change the rest.
        share = self._random.choice((0.0, 0.15, 0.3, 0.5))
        wanted = frozenset(kind for kind in KINDS if self._random.random() < share)
        self.kinds = wanted if only is None else wanted & only
        self._apart = {kind: random.Random(f"{seed}:{kind}") for kind in self.kinds}
        self.rate = self._random.choice((0.03, 0.1, 0.25))
        self.pace = self._random.choice((0.001, 0.01, 0.08))
        """Seconds that an answer takes on average."""
        self.fired: Counter[str] = Counter()

    def has(self, kind: Fault) -> bool:
        """Return whether this run knows the fault at all."""
        return kind in self.kinds

    def strikes(self, kind: Fault, rate: float | None = None) -> bool:
        """Return whether the fault happens now, and count it."""
        chance = self._apart.get(kind)
        if chance is None or chance.random() >= (self.rate if rate is None else rate):
            return False
        self.fired[kind] += 1
        return True

    def within(self, kind: Fault, low: float, high: float) -> float:
        """Return a number that belongs to a fault."""
        return self._apart[kind].uniform(low, high)

    def latency(self) -> float:
        """Return how many seconds an answer takes: mostly little, now and then twenty times as much."""
        chance = self._random.random()
        return self.pace * (chance if chance < 0.95 else 20.0 * chance)

    def between(self, low: float, high: float) -> float:
        """Return a number that belongs to the world."""
        return self._random.uniform(low, high)

    def among(self, count: int) -> int:
        """Return a number below `count`."""
        return self._random.randrange(count)
