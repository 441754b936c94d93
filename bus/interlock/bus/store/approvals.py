"""Approvals and the only ways in which they change; who may approve is decided elsewhere."""

from __future__ import annotations

__all__ = ["load", "of_conversation", "save"]


from interlock.bus.errors import StoreConflictError
from interlock.bus.store.database import Connection, Row
from interlock.bus.store.moments import from_micros, to_micros
from interlock.bus.store.records import ApprovalRow, ApprovalState

_PREDECESSORS = {
    ApprovalState.OPEN: (ApprovalState.OPEN,),
    ApprovalState.GRANTED: (ApprovalState.OPEN,),
    ApprovalState.USED: (ApprovalState.GRANTED,),
    ApprovalState.DENIED: (ApprovalState.OPEN, ApprovalState.GRANTED),
    ApprovalState.VOID: (ApprovalState.OPEN, ApprovalState.GRANTED),
}


def save(connection: Connection, row: ApprovalRow) -> None:
    """Insert an approval, or write its next state.

    What was asked for never changes, and an approval is used once: only a granted one, and then no more. Raises
    StoreConflictError when the stored one has moved on, was asked for something else, or, for a new one, when another
    is pending for the same conversation, subject and digest.
    """
    stored = load(connection, row.id)
    if stored is None:
        _insert(connection, row)
    elif stored.state not in _PREDECESSORS[row.state]:
        raise StoreConflictError(f"approval {row.id} is {stored.state}, it cannot become {row.state}: load it again")
    elif _asked(stored) != _asked(row):
        raise StoreConflictError(
            f"approval {row.id} was asked for {stored.subject} {stored.digest}, it cannot be turned into one for "
            f"{row.subject} {row.digest}: request a new one"
        )
    else:
        connection.execute(
            "UPDATE approval SET state = ?, approver = ?, decided_at = ?, reason = ? WHERE id = ?",
            (
                row.state,
                row.approver,
                None if row.decided_at is None else to_micros(row.decided_at),
                row.reason,
                row.id,
            ),
        )


def _asked(row: ApprovalRow) -> tuple[object, ...]:
    """Return what a person was asked: the part that a decision is about."""
    return (row.conversation_id, row.subject, row.digest, row.environment, row.author, row.summary, row.expires_at)


def _insert(connection: Connection, row: ApprovalRow) -> None:
    inserted = connection.execute(
        "INSERT INTO approval(id, conversation_id, subject, digest, environment, author, summary, state, requested_at, "
        "expires_at, approver, decided_at, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (
            row.id,
            row.conversation_id,
            row.subject,
            row.digest,
            row.environment,
            row.author,
            row.summary,
            row.state,
            to_micros(row.requested_at),
            to_micros(row.expires_at),
            row.approver,
            None if row.decided_at is None else to_micros(row.decided_at),
            row.reason,
        ),
    )
    if not inserted.rowcount:
        raise StoreConflictError(
            f"approval {row.id}: another one is pending for {row.subject} {row.digest} in conversation "
            f"{row.conversation_id}; wait for its decision, or void it first"
        )


def load(connection: Connection, approval_id: str) -> ApprovalRow | None:
    """Return one approval."""
    row = connection.execute("SELECT * FROM approval WHERE id = ?", (approval_id,)).fetchone()
    return None if row is None else _approval(row)


def of_conversation(connection: Connection, conversation_id: str | None) -> tuple[ApprovalRow, ...]:
    """Return a conversation's approvals, or everyone's for None, oldest first."""
    rows = connection.execute(
        "SELECT * FROM approval WHERE CAST(?1 AS TEXT) IS NULL OR conversation_id = ?1 ORDER BY requested_at, id",
        (conversation_id,),
    ).fetchall()
    return tuple(_approval(row) for row in rows)


def _approval(row: Row) -> ApprovalRow:
    return ApprovalRow(
        id=row["id"],
        conversation_id=row["conversation_id"],
        subject=row["subject"],
        digest=row["digest"],
        environment=row["environment"],
        author=row["author"],
        summary=row["summary"],
        state=ApprovalState(row["state"]),
        requested_at=from_micros(row["requested_at"]),
        expires_at=from_micros(row["expires_at"]),
        approver=row["approver"],
        decided_at=None if row["decided_at"] is None else from_micros(row["decided_at"]),
        reason=row["reason"],
    )
