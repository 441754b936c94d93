"""The outbox: messages that wait for the broker's confirm, once per id; it knows no transport."""

from __future__ import annotations

__all__ = ["abandon", "insert", "mark_sent", "next_due", "postpone", "prune", "unsent", "unsent_count"]

from collections.abc import Iterable

from interlock.bus.errors import StoreConflictError
from interlock.bus.store.database import Connection, Row
from interlock.bus.store.moments import from_micros, to_micros
from interlock.bus.store.records import OutboxMessage

# Why some conditions are written in an unusual way: see the inbox. "Has not ended" is what "is unsent" means.
# A message that waits holds back the later ones of its conversation to the same receiver, and nobody else.
_UNSENT = """
SELECT * FROM outbox AS candidate
WHERE state = 'unsent' AND (not_before IS NULL OR not_before <= ?1)
    AND NOT EXISTS (
        SELECT 1 FROM outbox AS waiting
        WHERE waiting.state = 'unsent' AND waiting.not_before > ?1 AND waiting.seq < candidate.seq
            AND waiting.conversation_id = candidate.conversation_id AND waiting.receiver = candidate.receiver
        LIMIT 1 OFFSET 0)
ORDER BY seq LIMIT ?2
"""


def insert(connection: Connection, messages: Iterable[OutboxMessage]) -> None:
    """Append messages. One whose id and body are there already changes nothing.

    Raises StoreConflictError when the id is there with another body.
    """
    for message in messages:
        inserted = connection.execute(
            "INSERT INTO outbox(message_id, receiver, type, conversation_id, body, created_at, causation_id, reply_to, "
            "traceparent) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT(message_id) DO NOTHING",
            (
                message.message_id,
                message.receiver,
                message.type,
                message.conversation_id,
                message.body,
                to_micros(message.created_at),
                message.causation_id,
                message.reply_to,
                message.traceparent,
            ),
        )
        if not inserted.rowcount:
            _require_same(connection, message)


def _require_same(connection: Connection, message: OutboxMessage) -> None:
    known = connection.execute("SELECT body FROM outbox WHERE message_id = ?", (message.message_id,)).fetchone()
    if known["body"] != message.body:
        raise StoreConflictError(
            f"message {message.message_id} (conversation {message.conversation_id}) was written before with another "
            "body: an id belongs to one body; load the state again and derive the message anew"
        )


def unsent(connection: Connection, *, limit: int, now: int) -> tuple[OutboxMessage, ...]:
    """Return what may be published now."""
    return tuple(_message(row) for row in connection.execute(_UNSENT, (now, limit)).fetchall())


def mark_sent(connection: Connection, message_ids: Iterable[str], *, now: int) -> None:
    """Record confirms; an id that is not waiting is ignored."""
    connection.executemany(
        "UPDATE outbox SET state = 'sent', ended_at = ? WHERE message_id = ? AND ended_at IS NULL",
        [(now, message_id) for message_id in message_ids],
    )


def postpone(connection: Connection, *, message_id: str, not_before: int, error: str) -> None:
    """Let a message wait until a moment."""
    connection.execute(
        "UPDATE outbox SET attempts = attempts + 1, not_before = ?, error = ? "
        "WHERE message_id = ? AND ended_at IS NULL",
        (not_before, error, message_id),
    )


def abandon(connection: Connection, *, message_id: str, error: str, now: int) -> OutboxMessage | None:
    """Give a message up; returns it, or None when it does not wait."""
    row = connection.execute(
        "UPDATE outbox SET state = 'abandoned', attempts = attempts + 1, error = ?, ended_at = ? "
        "WHERE message_id = ? AND ended_at IS NULL RETURNING *",
        (error, now, message_id),
    ).fetchone()
    return None if row is None else _message(row)


def next_due(connection: Connection, *, now: int) -> int | None:
    """Return when the next postponed message becomes due, after now."""
    row = connection.execute(
        "SELECT min(not_before) FROM outbox WHERE state = 'unsent' AND not_before IS NOT NULL AND not_before > ?",
        (now,),
    ).fetchone()
    moment: int | None = row[0]
    return moment


def unsent_count(connection: Connection) -> int:
    """Return how many wait, due or not."""
    count: int = connection.execute("SELECT count(*) FROM outbox WHERE state = 'unsent'").fetchone()[0]
    return count


def prune(connection: Connection, *, older_than: int, limit: int) -> int:
    """Delete some sent messages; returns how many."""
    return connection.execute(
        "DELETE FROM outbox WHERE seq IN ("
        "SELECT seq FROM outbox WHERE state = 'sent' AND ended_at < ? ORDER BY ended_at LIMIT ?)",
        (older_than, limit),
    ).rowcount


def _message(row: Row) -> OutboxMessage:
    return OutboxMessage(
        message_id=row["message_id"],
        receiver=row["receiver"],
        type=row["type"],
        conversation_id=row["conversation_id"],
        body=row["body"],
        created_at=from_micros(row["created_at"]),
        causation_id=row["causation_id"],
        reply_to=row["reply_to"],
        traceparent=row["traceparent"],
    )
