"""How much lies where in a store, and what is late there: for those who look in from outside; it changes nothing."""

from __future__ import annotations

__all__ = ["Standing", "standing"]

from dataclasses import dataclass
from datetime import datetime

from interlock.bus.store.database import Connection
from interlock.bus.store.moments import from_micros, to_micros


@dataclass(frozen=True, slots=True)
class Standing:
    """Numbers of messages, but for what says otherwise."""

    waiting: int
    """Received, and neither handled nor dead."""
    unsent: int
    oldest_unsent: datetime | None
    """When the message was written that has waited longest for the broker's confirm."""
    abandoned: int
    """What the broker refused for good."""
    open_workflows: int
    overdue: int
    """Timers whose moment has passed and that did not fire: their workflows stand still."""
    oldest_overdue: datetime | None


def standing(db: Connection, *, now: datetime) -> Standing:
    """Count."""
    (waiting,) = db.execute("SELECT count(*) FROM inbox WHERE state IN ('ready', 'leased')").fetchone()
    unsent, oldest = db.execute("SELECT count(*), min(created_at) FROM outbox WHERE state = 'unsent'").fetchone()
    (abandoned,) = db.execute("SELECT count(*) FROM outbox WHERE state = 'abandoned'").fetchone()
    (workflows,) = db.execute("SELECT count(*) FROM workflow WHERE ended = 0").fetchone()
    overdue, first = db.execute(
        "SELECT count(*), min(due_at) FROM timer WHERE due_at < ?", (to_micros(now),)
    ).fetchone()
    return Standing(
        waiting=waiting,
        unsent=unsent,
        oldest_unsent=None if oldest is None else from_micros(oldest),
        abandoned=abandoned,
        open_workflows=workflows,
        overdue=overdue,
        oldest_overdue=None if first is None else from_micros(first),
    )
