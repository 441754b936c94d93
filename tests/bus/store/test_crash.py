"""A process killed at any moment loses nothing and does nothing twice; the oracle is a file outside the store."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

from bus.store.harness import PostgresHarness, SqliteHarness, StoreHarness

CHILD = Path(__file__).with_name("crash_child.py")
POINTS = (
    "begun",
    "before_commit",
    "after_commit",
    "received",
    "taken",
    "claimed",
    "intended",
    "acted",
    "settled",
    "finished",
    "published",
    "marked",
)
PER_RUN = 12


def start(harness: StoreHarness, path: Path, *, point: str, passing: int, offered: range) -> subprocess.Popen[str]:
    arguments = [harness.address, f"{path}.world", point, str(passing), *map(str, offered)]
    return subprocess.Popen([sys.executable, str(CHILD), *arguments], stdout=subprocess.PIPE, text=True)


def prepare(harness: StoreHarness) -> None:
    """Make what the children open; a file they make themselves."""
    if isinstance(harness, PostgresHarness):
        harness.make()


def finish(child: subprocess.Popen[str]) -> int:
    child.communicate(timeout=60.0)
    return child.returncode


def happened(path: Path) -> Counter[str]:
    return Counter(path.read_text().split())


def check(harness: StoreHarness, path: Path, offered: int) -> None:
    """Compare what the outside world saw with what was offered."""
    world, sent = happened(Path(f"{path}.world")), happened(Path(f"{path}.world.sent"))
    assert world == Counter(f"effect-{number}" for number in range(offered)), "each effect happened exactly once"
    assert set(sent) == {f"answer-{number}" for number in range(offered)}, "every answer was sent"
    if isinstance(harness, SqliteHarness):
        assert harness.query("PRAGMA integrity_check") == [("ok",)]
    assert harness.query("SELECT CAST(sum(version) AS BIGINT) FROM workflow") == [(offered,)], "one change each"
    assert harness.query("SELECT DISTINCT state FROM inbox") == [("done",)]
    assert harness.query("SELECT DISTINCT state FROM outbox") == [("sent",)]


def test_killed_at_every_point_nothing_is_lost_or_doubled(harness: StoreHarness, path: Path) -> None:
    prepare(harness)
    chance = random.Random(140)
    for run, point in enumerate(POINTS):
        fresh = range(run * PER_RUN, (run + 1) * PER_RUN)
        # The points of a relay round or of taking in are passed a few times only, others at least once per message.
        few = {"published": 3, "marked": 3, "taken": 2}
        passing = chance.randint(1, few.get(point, PER_RUN))
        child = start(harness, path, point=point, passing=passing, offered=fresh)
        assert finish(child) == -signal.SIGKILL, f"the fault at {point!r} must have fired"
    offered = len(POINTS) * PER_RUN
    # What the killed runs had not taken in is offered again, as a broker would do; the rest are duplicates.
    assert finish(start(harness, path, point="none", passing=0, offered=range(offered))) == 0
    check(harness, path, offered)


def test_killed_at_random_moments_nothing_is_lost_or_doubled(harness: StoreHarness, path: Path) -> None:
    prepare(harness)
    chance = random.Random(7)
    offered = 8 * PER_RUN
    killed = 0
    for _ in range(4):
        child = start(harness, path, point="none", passing=0, offered=range(offered))
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        try:
            child.wait(timeout=chance.uniform(0.0, 0.15))
        except subprocess.TimeoutExpired:
            child.kill()
        killed += finish(child) == -signal.SIGKILL
    assert killed, "no fault has fired: all children were faster than their killer"
    assert finish(start(harness, path, point="none", passing=0, offered=range(offered))) == 0
    check(harness, path, offered)
