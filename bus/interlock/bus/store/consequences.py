"""Writes everything that one handled message changes; each part is known to its own module."""

from __future__ import annotations

__all__ = ["write"]


from interlock.bus.store import approvals, audit, outbox, timers, workflows
from interlock.bus.store.database import Connection
from interlock.bus.store.records import Commit


def write(connection: Connection, commit: Commit, *, now: int) -> None:
    """Write every part; cancelled timers go before set ones. Raises StoreConflictError, then nothing may stay."""
    if commit.workflow is not None:
        workflows.save(connection, commit.workflow)
    for approval in commit.approvals:
        approvals.save(connection, approval)
    timers.cancel(connection, commit.cancel_timers)
    timers.put(connection, commit.set_timers)
    outbox.insert(connection, commit.outgoing)
    audit.append(connection, commit.audit, now=now)
