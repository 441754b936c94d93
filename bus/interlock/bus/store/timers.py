"""Timers, which become inbox messages when they are due; who is woken by them is not known here."""

from __future__ import annotations

__all__ = ["TIMER", "cancel", "fire", "next_due", "put"]

from collections.abc import Iterable

from interlock.bus.store import inbox
from interlock.bus.store.database import Connection
from interlock.bus.store.moments import from_micros, to_micros
from interlock.bus.store.records import InboxMessage, Receipt, TimerRow
from interlock.protocol.ids import derived_id

TIMER = "timer"
"""The type of the message that a timer becomes."""


def put(connection: Connection, timers: Iterable[TimerRow]) -> None:
    """Set timers; each replaces the one of its conversation and name."""
    connection.executemany(
        "INSERT INTO timer(conversation_id, name, due_at) VALUES (?, ?, ?) "
        "ON CONFLICT(conversation_id, name) DO UPDATE SET due_at = excluded.due_at",
        [(timer.conversation_id, timer.name, to_micros(timer.due_at)) for timer in timers],
    )


def cancel(connection: Connection, timers: Iterable[tuple[str, str]]) -> None:
    """Remove timers by conversation id and name; one that has fired or was never set is ignored."""
    connection.executemany("DELETE FROM timer WHERE conversation_id = ? AND name = ?", timers)


def fire(connection: Connection, *, agent: str, now: int) -> int:
    """Move due timers to the inbox, in the order of their moments; returns how many messages came of it."""
    rows = connection.execute(
        "DELETE FROM timer WHERE due_at <= ? RETURNING conversation_id, name, due_at", (now,)
    ).fetchall()
    rows.sort(key=lambda row: (row["due_at"], row["conversation_id"], row["name"]))
    messages = (
        InboxMessage(
            message_id=derived_id(TIMER, row["conversation_id"], row["name"], row["due_at"]),
            sender=agent,
            type=TIMER,
            conversation_id=row["conversation_id"],
            body=row["name"].encode(),
            received_at=from_micros(now),
        )
        for row in rows
    )
    return sum(inbox.receive(connection, message) is Receipt.NEW for message in messages)


def next_due(connection: Connection) -> int | None:
    """Return the earliest timer's moment."""
    moment: int | None = connection.execute("SELECT min(due_at) FROM timer").fetchone()[0]
    return moment
