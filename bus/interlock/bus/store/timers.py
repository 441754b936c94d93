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
    """Set timers; each replaces the one of its conversation and name, also where that has fired and waits its turn."""
    for timer in timers:
        due = to_micros(timer.due_at)
        _recall(connection, timer.conversation_id, timer.name, keep=_message_id(timer.conversation_id, timer.name, due))
        connection.execute(
            "INSERT INTO timer(conversation_id, name, due_at) VALUES (?, ?, ?) "
            "ON CONFLICT(conversation_id, name) DO UPDATE SET due_at = excluded.due_at",
            (timer.conversation_id, timer.name, due),
        )


def cancel(connection: Connection, timers: Iterable[tuple[str, str]]) -> None:
    """Remove timers by conversation id and name, also where they have fired and wait their turn."""
    for conversation_id, name in timers:
        _recall(connection, conversation_id, name)
        connection.execute("DELETE FROM timer WHERE conversation_id = ? AND name = ?", (conversation_id, name))


def _recall(connection: Connection, conversation_id: str, name: str, *, keep: str = "") -> None:
    """Take a fired timer out of the inbox again; the one that is being handled is leased, and stays."""
    connection.execute(
        "DELETE FROM inbox WHERE conversation_id = ? AND type = ? AND body = ? AND state = 'ready' AND message_id <> ?",
        (conversation_id, TIMER, name.encode(), keep),
    )


def _message_id(conversation_id: str, name: str, due: int) -> str:
    """Return the id of the message that a timer becomes: one for each moment, so that none fires twice."""
    return derived_id(TIMER, conversation_id, name, due)


def fire(connection: Connection, *, agent: str, now: int) -> int:
    """Move due timers to the inbox, in the order of their moments; returns how many messages came of it."""
    rows = connection.execute(
        "DELETE FROM timer WHERE due_at <= ? RETURNING conversation_id, name, due_at", (now,)
    ).fetchall()
    rows.sort(key=lambda row: (row["due_at"], row["conversation_id"], row["name"]))
    messages = (
        InboxMessage(
            message_id=_message_id(row["conversation_id"], row["name"], row["due_at"]),
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
