"""A backlog of a million messages is published and drained; the consumer's memory is looked at all the while."""

from __future__ import annotations

__all__ = ["measure"]

import json
import subprocess
import time
from pathlib import Path

from benchmarks.rounds import Figures
from benchmarks.stage import INTERLOCK, Stage, contenders

_PAGE = 4096 / 2**20
_EVERY = 0.5
"""Seconds from one look at the memory to the next."""


def measure(stage: Stage, *, quick: bool) -> dict[str, object]:
    """Return the figures of both ends, and the consumer's MiB of memory at each second of draining."""
    (interlock,) = contenders((INTERLOCK,))
    count = 50_000 if quick else 1_000_000
    published = stage.play(interlock, "publish", count, 500)
    process = stage.start(interlock, "consume", count, 1)
    began, samples = time.perf_counter(), list[tuple[float, float]]()
    while True:
        try:
            said, complaints = process.communicate(timeout=_EVERY)
            break
        except subprocess.TimeoutExpired:
            resident = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * _PAGE
            samples.append((round(time.perf_counter() - began, 1), round(resident, 1)))
    if process.returncode:
        raise RuntimeError(f"the backlog was not drained: {complaints[-2000:]}")
    drained: Figures = json.loads(said)
    return {
        "count": count,
        "published": published,
        "drained": {what: drained[what] for what in ("rate", "cpu", "memory")},
        "memory": samples,
    }
