"""A drift as people and programs read it, with what to do about it; it knows no broker."""

from __future__ import annotations

__all__ = ["drift_document", "drift_lines", "how_to_move", "orphan_document", "steps", "summary"]

from collections.abc import Iterable, Sequence

from interlock.bus.rabbitmq.drift import Change, Drift, Orphan
from interlock.bus.rabbitmq.inequivalence import Difference
from interlock.bus.rabbitmq.topology import JOURNAL, Exchange

_IN_PLACE = {"x-max-length": "max-length", "x-delivery-limit": "delivery-limit"}
"""Arguments that a policy may lower on a queue that has them (rabbitmq.com/docs/policies)."""


def drift_lines(drift: Drift) -> list[str]:
    """Return one line for each thing, with what to do below it."""
    lines = [f"  + {item}" for item in drift.missing]
    for change in drift.changes:
        kind = "exchange" if isinstance(change.wanted, Exchange) else "queue"
        lines.append(f"  ~ {kind} {change.name}{_counts(change.messages, change.consumers)}")
        lines += [f"      {difference}" for difference in change.differences]
        if not change.is_movable:
            lines += [f"      -> {step}" for step in steps(change)]
    lines += [f"  - {orphan.item}{_counts(orphan.messages, orphan.consumers)}" for orphan in drift.orphans]
    movable = [change for change in drift.changes if change.is_movable]
    lines += how_to_move(movable)
    lines += [
        f"  ! the replacement of {name} was interrupted\n      -> interlock topology apply --migrate goes on with it"
        for name in drift.interrupted
    ]
    return lines


def summary(drift: Drift) -> str:
    """Return the counts in one line."""
    counts = f"{len(drift.missing)} to add, {len(drift.changes)} to replace, {len(drift.orphans)} too many"
    return f"{counts}, {len(drift.interrupted)} interrupted" if drift.interrupted else counts


def how_to_move(changes: Sequence[Change]) -> list[str]:
    """Return once, for all queues that can be moved, what to do."""
    if not changes:
        return []
    agents = sorted({change.name.removesuffix(".parked") for change in changes})
    hints = [hint for change in changes for difference in change.differences if (hint := _in_place(change, difference))]
    how = f"  ~ is done so: stop {', '.join(agents)}; `interlock topology apply --migrate`; start again. "
    return [f"{how}Messages are moved along.", *hints[:1]]


def steps(change: Change) -> tuple[str, ...]:
    """Return how something is replaced, in order."""
    if change.is_movable:
        agent = change.name.removesuffix(".parked")
        return (f"stop {agent}", "run `interlock topology apply --migrate`, which moves the messages", f"start {agent}")
    if isinstance(change.wanted, Exchange):
        return (
            "stop all agents: what is published while there is no exchange is returned to its sender",
            f"delete the exchange {change.name} by hand, then run `interlock topology apply`",
        )
    what = "the journal's copies are lost; no message is" if change.name == JOURNAL else "its messages are lost"
    return (
        f"a stream's messages cannot be moved: {what}",
        f"delete the queue {change.name} by hand and run `interlock topology apply`, or keep in [topology] what it has",
    )


def drift_document(drift: Drift) -> dict[str, object]:
    """Return the same for programs."""
    return {
        "missing": [str(item) for item in drift.missing],
        "changes": [
            {
                "name": change.name,
                "differences": [
                    {"argument": difference.argument, "has": difference.has, "wants": difference.wants}
                    for difference in change.differences
                ],
                "messages": change.messages,
                "consumers": change.consumers,
                "movable": change.is_movable,
                "steps": list(steps(change)),
            }
            for change in drift.changes
        ],
        "orphans": [orphan_document(orphan) for orphan in drift.orphans],
        "interrupted": list(drift.interrupted),
        "unseen": list(drift.unseen),
    }


def orphan_document(orphan: Orphan) -> dict[str, object]:
    """Return something that is too much, for programs."""
    return {"item": str(orphan.item), "messages": orphan.messages, "consumers": orphan.consumers}


def _in_place(change: Change, difference: Difference) -> str | None:
    key, has, wants = _IN_PLACE.get(difference.argument), difference.has, difference.wants
    if key is None or not isinstance(wants, int) or not isinstance(has, int) or not 0 < wants < has:
        return None
    pattern = change.name.replace(".", r"\.")
    return (
        f"    Until then a policy can lower {difference.argument}, e.g. rabbitmqctl set_policy --vhost VHOST "
        f"--apply-to queues {change.name}-limit '^{pattern}$' '{{\"{key}\": {wants}}}'"
    )


def _counts(messages: int | None, consumers: int | None) -> str:
    counted: Iterable[str] = (
        f"{count} {noun}" for count, noun in ((messages, "messages"), (consumers, "consumers")) if count is not None
    )
    text = ", ".join(counted)
    return f" [{text}]" if text else ""
