"""Publishing and consuming: Interlock's bus beside every Python peer and a C client.

All publish the same pydantic message, persistent and confirmed, validate it on arrival, and acknowledge it after the
handler. What a peer's documentation cannot give (quorum queue, mandatory) its module says. What counts are the ratios
to raw aio-pika.
"""

from __future__ import annotations

__all__ = ["cases"]

from collections.abc import Iterator, Sequence
from functools import partial

from benchmarks.rounds import Case, Figures
from benchmarks.stage import Contender, Stage, contenders

WORKS = {"publish, one by one": 1, "publish, 200 in flight": 200, "publish, 500 in flight": 500}


def cases(stage: Stage, *, quick: bool, names: Sequence[str] = ()) -> Iterator[Case]:
    """Yield a case for each contender that is installed: publish in several ways, and drain what was published."""
    few, many = (200, 1_500) if quick else (300, 2_000)
    for contender in contenders(names):
        yield Case(contender.name, partial(_turn, stage, contender, few, many * contender.stamina))


def _turn(stage: Stage, contender: Contender, few: int, many: int) -> Iterator[tuple[str, Figures]]:
    published = 0
    for work, in_flight in WORKS.items():
        if in_flight > 1 and not contender.pipelines:
            continue
        count = few if in_flight == 1 else many
        yield work, stage.play(contender, "publish", count, in_flight)
        published += count
    if not contender.pipelines:
        stage.play(contender, "publish", many // 4, 1)
        published += many // 4
    yield "consume", stage.play(contender, "consume", published, 1)
