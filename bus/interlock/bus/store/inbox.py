"""The inbox: messages taken in once, leased in order, and remembered; it knows neither threads nor commits."""

from __future__ import annotations

__all__ = [
    "IS_HEAD",
    "bury",
    "cancellations",
    "claim",
    "counts",
    "finish",
    "message_of",
    "next_due",
    "prune",
    "receive",
    "reject",
    "release",
    "renew",
    "retry",
    "take_in",
    "void_leases",
]

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from interlock.bus.errors import LeaseLostError
from interlock.bus.store.database import Connection, Row
from interlock.bus.store.moments import from_micros, to_micros
from interlock.bus.store.records import Claim, InboxMessage, Receipt, Taken

_DAY = 86_400_000_000

# Most statements here look rows up by number, and some of what they ask for is written in an unusual way, for the sake
# of PostgreSQL's planner. It takes the indexes of open rows to be empty, as they were when statistics were last
# gathered, and would rather read such an index as a whole than look a row up: thousands of rows, for each one wanted.
# `lease_until IS NOT NULL` is what a lease is (a constraint says so) and matches no such index; an OFFSET keeps a
# subquery from becoming a join.
IS_HEAD = """
state = 'ready'
AND seq = (
    SELECT min(earliest.seq) FROM inbox AS earliest
    WHERE earliest.conversation_id = head.conversation_id AND earliest.state IN ('ready', 'leased'))
AND NOT EXISTS (
    SELECT 1 FROM inbox AS leased
    WHERE leased.conversation_id = head.conversation_id AND leased.state = 'leased' LIMIT 1 OFFSET 0)
"""
"""What the view `inbox_head` says of a row that is called `head`."""
_CLAIMABLE = (
    "SELECT *, EXISTS (SELECT 1 FROM inbox AS later WHERE later.conversation_id = inbox_head.conversation_id "
    "AND later.state IN ('ready', 'leased') AND later.seq > inbox_head.seq) AS followed "
    "FROM inbox_head WHERE not_before IS NULL OR not_before <= ? ORDER BY seq LIMIT ?"
)


def receive(connection: Connection, message: InboxMessage) -> Receipt:
    """Insert a message unless its id is known, here or from before pruning; a new one takes a single statement."""
    body_hash = hashlib.sha256(message.body).digest()
    inserted = connection.execute(
        "INSERT INTO inbox(message_id, sender, type, conversation_id, body, body_hash, reply_to, received_at) "
        "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT(message_id) DO NOTHING "
        "RETURNING seq, (SELECT seen.body_hash FROM seen WHERE seen.message_id = ?1) AS seen",
        (
            message.message_id,
            message.sender,
            message.type,
            message.conversation_id,
            message.body,
            body_hash,
            message.reply_to,
            to_micros(message.received_at),
        ),
    ).fetchone()
    if inserted is None:
        known = connection.execute("SELECT body_hash FROM inbox WHERE message_id = ?", (message.message_id,)).fetchone()
        return Receipt.DUPLICATE if known["body_hash"] == body_hash else Receipt.CONFLICT
    if inserted["seen"] is None:
        return Receipt.NEW
    connection.execute("DELETE FROM inbox WHERE seq = ?", (inserted["seq"],))
    return Receipt.DUPLICATE if inserted["seen"] == body_hash else Receipt.CONFLICT


def reject(connection: Connection, *, body_hash: str, code: str, reason: str, now: int) -> None:
    """Remember a refused body; the same body again only counts."""
    connection.execute(
        "INSERT INTO rejection(body_hash, code, reason, times, first_at, last_at) VALUES (?1, ?2, ?3, 1, ?4, ?4) "
        "ON CONFLICT(body_hash, code) DO UPDATE SET times = rejection.times + 1, last_at = excluded.last_at",
        (body_hash, code, reason, now),
    )


def claim(connection: Connection, *, limit: int, until: int, now: int) -> tuple[Claim, ...]:
    """Lease what is claimable, each row under a fencing token that no row had before."""
    _void(
        connection,
        connection.execute("SELECT seq FROM inbox WHERE state = 'leased' AND lease_until <= ?", (now,)).fetchall(),
        error="the lease ran out",
        now=now,
    )
    rows = connection.execute(
        _CLAIMABLE,
        (now, limit),
    ).fetchall()
    if not rows:
        return ()
    (last,) = connection.execute("UPDATE owner SET fence = fence + ? RETURNING fence", (len(rows),)).fetchone()
    claims = tuple(
        Claim(
            seq=row["seq"],
            message=message_of(row),
            attempt=row["attempts"] + 1,
            fence=fence,
            lease_until=from_micros(until),
            followed=bool(row["followed"]),
            begun=row["fence"] > 0,
        )
        for fence, row in enumerate(rows, start=last - len(rows) + 1)
    )
    connection.executemany(
        "UPDATE inbox SET state = 'leased', attempts = attempts + 1, not_before = NULL, fence = ?, lease_until = ? "
        "WHERE seq = ?",
        [(held.fence, until, held.seq) for held in claims],
    )
    return claims


def take_in(connection: Connection, messages: Sequence[InboxMessage], *, limit: int, until: int, now: int) -> Taken:
    """Receive in order, then claim: what has just come in is leased like anything that waits."""
    receipts = tuple(receive(connection, message) for message in messages)
    return Taken(receipts, claim(connection, limit=limit, until=until, now=now) if limit else ())


def cancellations(connection: Connection, claims: Sequence[Claim]) -> tuple[InboxMessage, ...]:
    """Return the cancellations that wait behind these in their conversations."""
    return tuple(
        message_of(row)
        for held in claims
        for row in connection.execute(
            "SELECT * FROM inbox WHERE conversation_id = ? AND state IN ('ready', 'leased') AND seq > ? "
            "AND type = 'task_cancelled' ORDER BY seq",
            (held.message.conversation_id, held.seq),
        )
    )


def renew(connection: Connection, claims: Sequence[Claim], *, until: int) -> tuple[Claim, ...]:
    """Prolong the leases that are still held."""
    return tuple(
        replace(held, lease_until=from_micros(until))
        for held in claims
        if connection.execute(
            "UPDATE inbox SET lease_until = ? WHERE seq = ? AND fence = ? AND lease_until IS NOT NULL",
            (until, held.seq, held.fence),
        ).rowcount
    )


def finish(connection: Connection, held: Claim, *, now: int) -> bool:
    """Mark a message done; returns False when this claim has done so before, and its answer was lost on the way."""
    return _end(connection, held, state="done", now=now)


def retry(connection: Connection, held: Claim, *, not_before: int, error: str, now: int) -> None:
    """Give a message back until a moment."""
    _settle(connection, held, state="ready", not_before=not_before)
    _blame(connection, held.seq, error=error, now=now)


def release(connection: Connection, held: Claim) -> None:
    """Give a message back as if it had not been claimed."""
    _settle(connection, held, state="ready", attempts=held.attempt - 1)


def bury(connection: Connection, held: Claim, *, error: str, now: int) -> bool:
    """Put a message among the dead; returns False when this claim has done so before."""
    ended = _end(connection, held, state="dead", now=now)
    if ended:
        _blame(connection, held.seq, error=error, now=now)
    return ended


def void_leases(connection: Connection, *, now: int) -> int:
    """Take every lease from an owner that is proven dead; the attempts count. Returns how many."""
    rows = connection.execute("SELECT seq FROM inbox WHERE state = 'leased'").fetchall()
    _void(connection, rows, error="the process ended during the attempt", now=now)
    return len(rows)


def next_due(connection: Connection) -> int | None:
    """Return when the first retry becomes due or lease runs out; a retry that is held back does not count."""
    row = connection.execute(
        "SELECT min(moment) FROM ("  # noqa: S608 - a constant
        f"SELECT min(not_before) AS moment FROM inbox AS head WHERE {IS_HEAD} AND not_before IS NOT NULL "
        "UNION ALL SELECT min(lease_until) FROM inbox WHERE state = 'leased') AS moments"
    ).fetchone()
    moment: int | None = row[0]
    return moment


def counts(connection: Connection) -> tuple[int, int, int]:
    """Return how many messages are ready, leased, and dead and not repaired yet."""
    row = connection.execute(
        "SELECT (SELECT count(*) FROM inbox WHERE state = 'ready'), "
        "(SELECT count(*) FROM inbox WHERE state = 'leased'), "
        "(SELECT count(*) FROM inbox WHERE state = 'dead') "
        "- (SELECT count(*) FROM repair WHERE action IN ('drop', 'edit'))"
    ).fetchone()
    return (row[0], row[1], row[2])


def prune(connection: Connection, *, older_than: int, limit: int) -> int:
    """Move the keys of some done messages to `seen` and delete their rows; returns how many."""
    rows = connection.execute(
        "SELECT seq, message_id, body_hash, ended_at FROM inbox WHERE state = 'done' AND ended_at < ? "
        "ORDER BY ended_at LIMIT ?",
        (older_than, limit),
    ).fetchall()
    connection.executemany(
        "INSERT INTO seen(message_id, body_hash, day) VALUES (?, ?, ?)",
        [(row["message_id"], row["body_hash"], row["ended_at"] // _DAY) for row in rows],
    )
    connection.executemany("DELETE FROM inbox WHERE seq = ?", [(row["seq"],) for row in rows])
    return len(rows)


def _end(connection: Connection, held: Claim, *, state: str, now: int) -> bool:
    try:
        _settle(connection, held, state=state, ended_at=now)
    except LeaseLostError:
        again = connection.execute(
            "SELECT 1 FROM inbox WHERE seq = ? AND fence = ? AND state = ?", (held.seq, held.fence, state)
        )
        if again.fetchone() is None:
            raise
        return False
    return True


def _settle(
    connection: Connection,
    held: Claim,
    *,
    state: str,
    attempts: int | None = None,
    not_before: int | None = None,
    ended_at: int | None = None,
) -> None:
    """End a lease, if the claim still has it; attempts stay as they are unless given."""
    settled = connection.execute(
        "UPDATE inbox SET lease_until = NULL, state = ?, attempts = coalesce(?, attempts), "
        "not_before = ?, ended_at = ? "
        "WHERE seq = ? AND fence = ? AND lease_until IS NOT NULL",
        (state, attempts, not_before, ended_at, held.seq, held.fence),
    )
    if not settled.rowcount:
        raise LeaseLostError(
            f"message {held.message.message_id} is no longer held under fence {held.fence} (attempt {held.attempt}): "
            "its lease has ended; drop the result, the message is done or will be attempted again"
        )


def _void(connection: Connection, rows: Iterable[Row], *, error: str, now: int) -> None:
    for row in rows:
        connection.execute("UPDATE inbox SET state = 'ready', lease_until = NULL WHERE seq = ?", (row["seq"],))
        _blame(connection, row["seq"], error=error, now=now)


def _blame(connection: Connection, seq: int, *, error: str, now: int) -> None:
    connection.execute("INSERT INTO failure(seq, at, error) VALUES (?, ?, ?)", (seq, now, error))


def message_of(row: Row) -> InboxMessage:
    """Return what was received."""
    return InboxMessage(
        message_id=row["message_id"],
        sender=row["sender"],
        type=row["type"],
        conversation_id=row["conversation_id"],
        body=row["body"],
        received_at=from_micros(row["received_at"]),
        reply_to=row["reply_to"],
    )
