"""Stored states of workflows under optimistic versions; what a state means is the workflow's business."""

from __future__ import annotations

__all__ = ["by_status", "every", "load", "save"]


from interlock.bus.errors import StoreConflictError
from interlock.bus.store.database import Connection, Row
from interlock.bus.store.moments import from_micros, to_micros
from interlock.bus.store.records import WorkflowRow


def save(connection: Connection, row: WorkflowRow) -> None:
    """Write the next version. Raises StoreConflictError when the stored one is not its predecessor."""
    values = (row.kind, row.version, row.status, int(row.ended), row.state, to_micros(row.updated_at), row.id)
    if row.version == 1:
        written = connection.execute(
            "INSERT INTO workflow(kind, version, status, ended, state, updated_at, id) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "ON CONFLICT(id) DO NOTHING",
            values,
        )
    else:
        written = connection.execute(
            "UPDATE workflow SET kind = ?, version = ?, status = ?, ended = ?, state = ?, updated_at = ? "
            "WHERE id = ? AND version = ?",
            (*values, row.version - 1),
        )
    if not written.rowcount:
        stored = load(connection, row.id)
        found = "it is not stored" if stored is None else f"version {stored.version} is stored"
        raise StoreConflictError(
            f"workflow {row.id} cannot become version {row.version}, {found}: load it and decide anew"
        )


def load(connection: Connection, workflow_id: str) -> WorkflowRow | None:
    """Return one workflow."""
    row = connection.execute("SELECT * FROM workflow WHERE id = ?", (workflow_id,)).fetchone()
    return None if row is None else _workflow(row)


def every(connection: Connection) -> tuple[WorkflowRow, ...]:
    """Return every workflow, the latest updated first."""
    rows = connection.execute("SELECT * FROM workflow ORDER BY updated_at DESC, id").fetchall()
    return tuple(_workflow(row) for row in rows)


def by_status(connection: Connection) -> dict[str, int]:
    """Return the number of open workflows in each status."""
    return dict(
        connection.execute(
            "SELECT status, count(*) FROM workflow WHERE ended = 0 GROUP BY status ORDER BY status"
        ).fetchall()
    )


def _workflow(row: Row) -> WorkflowRow:
    return WorkflowRow(
        id=row["id"],
        kind=row["kind"],
        version=row["version"],
        status=row["status"],
        ended=bool(row["ended"]),
        state=row["state"],
        updated_at=from_micros(row["updated_at"]),
    )
