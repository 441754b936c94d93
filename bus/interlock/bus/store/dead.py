"""The dead and their repair: what was given up, and what people did about it; it decides nothing itself.

A dropped or replaced message stays among the dead as a row, so that its id remains known and its history can be read.
"""

from __future__ import annotations

__all__ = ["drop", "letter", "listed", "rejections", "replace", "revive"]

from collections.abc import Mapping

from interlock.bus.store import audit, inbox
from interlock.bus.store.database import Connection, Row
from interlock.bus.store.moments import from_micros
from interlock.bus.store.records import (
    AuditEntry,
    DeadRow,
    Failure,
    InboxMessage,
    InboxState,
    Receipt,
    RejectionRow,
    Repair,
    RepairAction,
    RepairRow,
)
from interlock.protocol.errors import UsageError

_ENDS: Mapping[str, InboxState] = {
    RepairAction.DROP: InboxState.DROPPED,
    RepairAction.EDIT: InboxState.REPLACED,
}
_LINES: Mapping[RepairAction, str] = {
    RepairAction.RETRY: "dead_letter_retried",
    RepairAction.DROP: "dead_letter_dropped",
    RepairAction.EDIT: "dead_letter_edited",
}
"""What the audit trail says."""


def listed(connection: Connection, *, limit: int, after: int, settled: bool) -> tuple[DeadRow, ...]:
    """Return the dead with greater numbers than `after`, with or without those that were dropped or replaced."""
    rows = connection.execute(
        "SELECT * FROM inbox WHERE state = 'dead' AND seq > ? AND (? OR NOT EXISTS ("
        "SELECT 1 FROM repair WHERE repair.seq = inbox.seq AND repair.action IN ('drop', 'edit'))) "
        "ORDER BY seq LIMIT ?",
        (after, settled, limit),
    ).fetchall()
    return tuple(_row(connection, row) for row in rows)


def letter(connection: Connection, *, seq: int) -> DeadRow | None:
    """Return one message of the inbox with its history, dead or not."""
    row = connection.execute("SELECT * FROM inbox WHERE seq = ?", (seq,)).fetchone()
    return None if row is None else _row(connection, row)


def revive(connection: Connection, *, seq: int, repair: Repair, now: int) -> None:
    """Make a dead message ready; its history stays, its attempts start anew."""
    if _record(connection, seq, RepairAction.RETRY, repair, now=now):
        connection.execute("UPDATE inbox SET state = 'ready', attempts = 0, ended_at = NULL WHERE seq = ?", (seq,))


def drop(connection: Connection, *, seq: int, repair: Repair, now: int) -> None:
    """Leave a dead message unhandled for good."""
    _record(connection, seq, RepairAction.DROP, repair, now=now)


def replace(connection: Connection, *, seq: int, replacement: InboxMessage, repair: Repair, now: int) -> None:
    """Take a message in instead of a dead one."""
    if not _record(connection, seq, RepairAction.EDIT, repair, now=now, replacement_id=replacement.message_id):
        return
    if inbox.receive(connection, replacement) is not Receipt.NEW:
        raise UsageError(
            f"message {replacement.message_id} is in the inbox already: give the replacement an id of its own"
        )


def rejections(connection: Connection) -> tuple[RejectionRow, ...]:
    """Return why bodies were refused, the latest first."""
    rows = connection.execute("SELECT * FROM rejection ORDER BY last_at DESC, body_hash, code").fetchall()
    return tuple(
        RejectionRow(
            body_hash=row["body_hash"],
            code=row["code"],
            reason=row["reason"],
            times=row["times"],
            first_at=from_micros(row["first_at"]),
            last_at=from_micros(row["last_at"]),
        )
        for row in rows
    )


def _record(
    connection: Connection,
    seq: int,
    action: RepairAction,
    repair: Repair,
    *,
    now: int,
    replacement_id: str | None = None,
) -> bool:
    """Write a repair and its line in the audit trail; returns False when it was carried out before, under its key."""
    if repair.key and _is_known(connection, seq, action, repair.key):
        return False
    dead = letter(connection, seq=seq)
    if dead is None or dead.state is not InboxState.DEAD:
        state = "unknown" if dead is None else dead.state.value
        raise UsageError(f"message number {seq} is not among the dead (it is {state}); list them to see which are")
    connection.execute(
        "INSERT INTO repair(seq, key, action, at, actor, reason, replacement_id) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (seq, repair.key or None, action.value, now, repair.by, repair.reason, replacement_id),
    )
    details = {
        "messageId": dead.message.message_id,
        "type": dead.message.type,
        "number": str(seq),
        "reason": repair.reason,
        "replacementId": replacement_id or "",
    }
    written = {name: value for name, value in details.items() if value}
    audit.append(connection, [AuditEntry(dead.message.conversation_id, repair.by, _LINES[action], written)], now=now)
    return True


def _is_known(connection: Connection, seq: int, action: RepairAction, key: str) -> bool:
    row = connection.execute("SELECT action FROM repair WHERE seq = ? AND key = ?", (seq, key)).fetchone()
    if row is not None and row["action"] != action:
        raise UsageError(f"repair {key} of message number {seq} was a {row['action']}: a {action} needs another key")
    return row is not None


def _row(connection: Connection, row: Row) -> DeadRow:
    seq: int = row["seq"]
    failures = connection.execute("SELECT at, error FROM failure WHERE seq = ? ORDER BY number", (seq,)).fetchall()
    repairs = _repairs(connection, seq)
    replaced = connection.execute(
        "SELECT message_id FROM inbox WHERE seq = (SELECT seq FROM repair WHERE replacement_id = ?)",
        (row["message_id"],),
    ).fetchone()
    state = InboxState(row["state"])
    if state is InboxState.DEAD and repairs:
        state = _ENDS.get(repairs[-1].action, state)
    return DeadRow(
        seq=seq,
        message=inbox.message_of(row),
        attempts=row["attempts"],
        failures=tuple(Failure(from_micros(failure["at"]), failure["error"]) for failure in failures),
        state=state,
        ended_at=None if row["ended_at"] is None else from_micros(row["ended_at"]),
        repairs=repairs,
        replaces=None if replaced is None else replaced["message_id"],
    )


def _repairs(connection: Connection, seq: int) -> tuple[RepairRow, ...]:
    rows = connection.execute("SELECT * FROM repair WHERE seq = ? ORDER BY number", (seq,)).fetchall()
    return tuple(
        RepairRow(
            action=RepairAction(row["action"]),
            at=from_micros(row["at"]),
            repair=Repair(by=row["actor"], reason=row["reason"], key=row["key"] or ""),
            replacement_id=row["replacement_id"],
        )
        for row in rows
    )
