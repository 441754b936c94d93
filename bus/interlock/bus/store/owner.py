"""Who owns a store's rows, since which epoch, and which replica publishes; it knows no lock outside the database."""

from __future__ import annotations

__all__ = ["LEADERSHIP", "belong", "leads", "led_until", "resign", "take_over"]

from interlock.bus.store import inbox
from interlock.bus.store.database import Connection
from interlock.protocol.errors import UsageError

LEADERSHIP = 10_000_000
"""Microseconds after which a replica that has not looked at the outbox no longer publishes it."""


def take_over(connection: Connection, *, agent: str, now: int) -> int:
    """Begin the next epoch and void the leases of the former ones; returns the epoch, from 1.

    For a store with one owner at a time, whose every other owner is known to be dead. Raises UsageError when the
    store is another agent's.
    """
    belong(connection, agent=agent, now=now)
    row = connection.execute("UPDATE owner SET epoch = epoch + 1, opened_at = ? RETURNING epoch", (now,)).fetchone()
    inbox.void_leases(connection, now=now)
    epoch: int = row["epoch"]
    return epoch


def belong(connection: Connection, *, agent: str, now: int) -> int:
    """Write whose store it is, unless it is written; returns the epoch, which replicas share.

    Raises UsageError when the store is another agent's.
    """
    known = connection.execute("SELECT agent, epoch FROM owner").fetchone()
    if known is None:
        connection.execute("INSERT INTO owner(agent, epoch, fence, opened_at) VALUES (?, 0, 0, ?)", (agent, now))
        return 0
    if known["agent"] != agent:
        raise UsageError(f"the store belongs to {known['agent']}, not to {agent}: give each agent a store of its own")
    epoch: int = known["epoch"]
    return epoch


def leads(connection: Connection, *, replica: str, now: int) -> bool:
    """Let a replica publish the outbox from now on, unless another one does; one that goes silent is followed."""
    led = connection.execute(
        "UPDATE owner SET leader = ?1, led_until = ?2 WHERE leader IS NULL OR leader = ?1 OR led_until <= ?3",
        (replica, now + LEADERSHIP, now),
    )
    return led.rowcount == 1


def led_until(connection: Connection, *, replica: str) -> int | None:
    """Return until when another replica publishes what waits, None when there is none, or nothing waits."""
    row = connection.execute(
        "SELECT led_until FROM owner WHERE leader <> ? AND EXISTS (SELECT 1 FROM outbox WHERE state = 'unsent')",
        (replica,),
    ).fetchone()
    return None if row is None else row["led_until"]


def resign(connection: Connection, *, replica: str) -> None:
    """Let another replica publish at once, if this one did."""
    connection.execute("UPDATE owner SET leader = NULL, led_until = NULL WHERE leader = ?", (replica,))
