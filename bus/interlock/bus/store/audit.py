"""The audit trail as a chain of hashes; what deserves a line is decided elsewhere.

The chain shows that a line was changed, inserted or removed in the middle. That the newest lines were cut off shows
only against a head that was kept elsewhere.
"""

from __future__ import annotations

__all__ = ["GENESIS", "append", "trail", "verify_chain"]

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import datetime

from interlock.bus.store.database import Connection
from interlock.bus.store.moments import from_micros, to_micros
from interlock.bus.store.records import AuditEntry, AuditRow

GENESIS = "0" * 64
"""What stands in the place of the first line's previous hash."""


def append(connection: Connection, entries: Iterable[AuditEntry], *, now: int) -> None:
    """Add lines to the end of the chain."""
    for entry in entries:
        last = connection.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1").fetchone()
        number, previous = (1, GENESIS) if last is None else (last["number"] + 1, last["hash"])
        connection.execute(
            "INSERT INTO audit(number, at, conversation_id, actor, action, details, previous_hash, hash) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                now,
                entry.conversation_id,
                entry.actor,
                entry.action,
                _canonical(dict(entry.details)),
                previous,
                _hash(number, from_micros(now), entry, previous),
            ),
        )


def trail(connection: Connection, conversation_id: str | None) -> tuple[AuditRow, ...]:
    """Return a conversation's lines, or all lines for None, in the order of the chain."""
    rows = connection.execute(
        "SELECT * FROM audit WHERE CAST(?1 AS TEXT) IS NULL OR conversation_id = ?1 ORDER BY number", (conversation_id,)
    ).fetchall()
    return tuple(
        AuditRow(
            number=row["number"],
            at=from_micros(row["at"]),
            entry=AuditEntry(row["conversation_id"], row["actor"], row["action"], json.loads(row["details"])),
            previous_hash=row["previous_hash"],
            hash=row["hash"],
        )
        for row in rows
    )


def verify_chain(rows: Sequence[AuditRow]) -> int | None:
    """Return the number of the first line that breaks the chain, None when it is whole; `rows` is the whole trail."""
    previous = GENESIS
    for number, row in enumerate(rows, start=1):
        expected = _hash(number, row.at, row.entry, previous)
        if (row.number, row.previous_hash, row.hash) != (number, previous, expected):
            return row.number
        previous = row.hash
    return None


def _hash(number: int, at: datetime, entry: AuditEntry, previous: str) -> str:
    line = [number, to_micros(at), entry.conversation_id, entry.actor, entry.action, dict(entry.details)]
    return hashlib.sha256((previous + _canonical(line)).encode()).hexdigest()


def _canonical(value: object) -> str:
    """Return the one JSON text of a value."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
