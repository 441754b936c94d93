"""Leasing in PostgreSQL: what `inbox.claim` does in four statements is one here; it knows no transaction.

It needs a transaction that is alone: two claims beside each other would not see what the other one is about to lease.
Leases may end beside it, by their holders: every statement here looks at a row's state in the moment of writing it.
"""

from __future__ import annotations

__all__ = ["claim"]

from interlock.bus.store import inbox
from interlock.bus.store.database import Connection, Row
from interlock.bus.store.moments import from_micros
from interlock.bus.store.records import Claim

# There is always a row, so that the first end of a lease is known even when nothing is due.
_CLAIM = f"""
WITH due AS MATERIALIZED (
    SELECT seq, fence > 0 AS begun, row_number() OVER (ORDER BY seq) AS nth, EXISTS (
        SELECT 1 FROM inbox AS later WHERE later.conversation_id = head.conversation_id
            AND later.state IN ('ready', 'leased') AND later.seq > head.seq) AS followed
    FROM inbox AS head WHERE {inbox.IS_HEAD} AND (not_before IS NULL OR not_before <= ?1) ORDER BY seq LIMIT ?2),
drawn AS (
    UPDATE owner SET fence = fence + (SELECT count(*) FROM due) WHERE EXISTS (SELECT 1 FROM due)
    RETURNING fence - (SELECT count(*) FROM due) AS before),
leased AS (
    UPDATE inbox SET state = 'leased', attempts = attempts + 1, not_before = NULL, fence = drawn.before + due.nth,
        lease_until = ?3
    FROM due, drawn WHERE inbox.seq = due.seq
    RETURNING inbox.*, due.followed, due.begun)
SELECT ended.first, leased.*
FROM (SELECT min(lease_until) AS first FROM inbox WHERE state = 'leased') AS ended LEFT JOIN leased ON true
ORDER BY leased.seq
"""  # noqa: S608 - a constant

# A lease that its holder ends or renews at this moment is left to the holder.
_VOID = """
UPDATE inbox SET state = 'ready', lease_until = NULL WHERE seq IN (
    SELECT seq FROM inbox WHERE state = 'leased' AND lease_until <= ? ORDER BY seq FOR UPDATE SKIP LOCKED)
RETURNING seq
"""


def claim(connection: Connection, *, limit: int, until: int, now: int) -> tuple[Claim, ...]:
    """Lease what is claimable, each row under a fencing token that no row had before."""
    rows = connection.execute(_CLAIM, (now, limit, until)).fetchall()
    claims = [_claim(row, until) for row in rows if row["seq"] is not None]
    if (first := rows[0]["first"]) is not None and first <= now:
        _void_expired(connection, now=now)
        rows = connection.execute(_CLAIM, (now, limit - len(claims), until)).fetchall()
        claims += [_claim(row, until) for row in rows if row["seq"] is not None]
        claims.sort(key=lambda held: held.seq)
    return tuple(claims)


def _void_expired(connection: Connection, *, now: int) -> None:
    connection.executemany(
        "INSERT INTO failure(seq, at, error) VALUES (?, ?, 'the lease ran out')",
        [(row["seq"], now) for row in connection.execute(_VOID, (now,)).fetchall()],
    )


def _claim(row: Row, until: int) -> Claim:
    return Claim(
        seq=row["seq"],
        message=inbox.message_of(row),
        attempt=row["attempts"],
        fence=row["fence"],
        lease_until=from_micros(until),
        followed=row["followed"],
        begun=row["begun"],
    )
