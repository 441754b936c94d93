"""Who owns the file, and since which epoch; the lock that proves it is taken elsewhere."""

from __future__ import annotations

__all__ = ["take_over"]

import sqlite3

from interlock.bus.store import inbox
from interlock.protocol.errors import UsageError


def take_over(connection: sqlite3.Connection, *, agent: str, now: int) -> int:
    """Begin the next epoch and void the leases of the former ones; returns the epoch, from 1.

    The caller holds the file's lock: every other owner is dead. Raises UsageError when the file is another agent's.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        known = connection.execute("SELECT agent FROM owner").fetchone()
        if known is not None and known["agent"] != agent:
            raise UsageError(
                f"the store belongs to {known['agent']}, not to {agent}: give each agent a file of its own"
            )
        row = connection.execute(
            "INSERT INTO owner(agent, epoch, fence, opened_at) VALUES (?, 1, 0, ?) "
            "ON CONFLICT(agent) DO UPDATE SET epoch = epoch + 1, opened_at = excluded.opened_at RETURNING epoch",
            (agent, now),
        ).fetchone()
        epoch: int = row["epoch"]
        inbox.void_leases(connection, now=now)
    except (UsageError, sqlite3.Error):
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return epoch
