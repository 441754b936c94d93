"""The ledger of effects on the outside world: intent first, outcome later; it cannot look at that world itself."""

from __future__ import annotations

__all__ = ["begin", "begun", "forget", "settle"]


from interlock.bus.errors import LeaseLostError
from interlock.bus.store.database import Connection, Row
from interlock.bus.store.moments import from_micros
from interlock.bus.store.records import EffectRow, EffectState
from interlock.protocol.errors import UsageError


def begin(
    connection: Connection, *, key: str, request_hash: str, fence: int, epoch: int, now: int
) -> tuple[EffectRow, bool]:
    """Record an intent, or return what is known of it.

    An effect that a former attempt or a former process left started has become unknown, and is stored as such. Raises
    UsageError when the key stands for another request, LeaseLostError when a later attempt has begun it already.
    """
    inserted = connection.execute(
        "INSERT INTO effect(key, request_hash, state, epoch, fence, started_at) VALUES (?, ?, 'started', ?, ?, ?) "
        "ON CONFLICT(key) DO NOTHING RETURNING *",
        (key, request_hash, epoch, fence, now),
    ).fetchone()
    if inserted is not None:
        return _effect(inserted), True
    known = _row(connection, key)
    assert known is not None, "the insert met a row"
    if known["request_hash"] != request_hash:
        raise UsageError(
            f"effect {key} is known for request {known['request_hash']}, not for {request_hash}: "
            "another request needs a key of its own"
        )
    _refuse_stale(known, key=key, fence=fence, epoch=epoch)
    began, begins = (known["epoch"], known["fence"]), (epoch, fence)
    if known["state"] in {EffectState.STARTED, EffectState.UNKNOWN} and begins > began:
        # Under the new fence: the attempt that left it may still be alive, in another replica, and ask again.
        connection.execute(
            "UPDATE effect SET state = 'unknown', epoch = ?, fence = ? WHERE key = ?", (epoch, fence, key)
        )
        known = _row(connection, key)
        assert known is not None, "it was just updated"
    return _effect(known), False


def begun(connection: Connection, *, prefix: str, since: int) -> tuple[EffectRow, ...]:
    """Return the effects whose keys begin so and that were begun from then on, oldest first."""
    rows = connection.execute(
        "SELECT * FROM effect WHERE substr(key, 1, ?) = ? AND started_at >= ? ORDER BY started_at, key",
        (len(prefix), prefix, since),
    ).fetchall()
    return tuple(_effect(row) for row in rows)


def settle(
    connection: Connection, *, key: str, state: EffectState, result: str | None, fence: int, epoch: int, now: int
) -> None:
    """Record an outcome; the same outcome again changes nothing.

    Raises UsageError for a key that was not begun, for `started`, which is no outcome, and for an effect that is done
    or failed with another outcome; LeaseLostError when a later attempt has begun it anew.
    """
    if state is EffectState.STARTED:
        raise UsageError(f"effect {key} cannot be settled as started: say done, failed or unknown")
    known = _row(connection, key)
    if known is None:
        raise UsageError(f"effect {key} was not begun: record the intent before acting")
    _refuse_stale(known, key=key, fence=fence, epoch=epoch)
    if (known["state"], known["result"]) == (state, result):
        return
    if known["state"] in {EffectState.DONE, EffectState.FAILED}:
        raise UsageError(f"effect {key} is {known['state']} already, it cannot become {state}")
    settled_at = None if state is EffectState.UNKNOWN else now
    connection.execute(
        "UPDATE effect SET state = ?, result = ?, settled_at = ? WHERE key = ?", (state, result, settled_at, key)
    )


def forget(connection: Connection, *, key: str, fence: int, epoch: int) -> None:
    """Remove an effect that did not happen; an unknown key is ignored.

    Raises UsageError for one that is done, LeaseLostError when a later attempt has begun it anew.
    """
    known = _row(connection, key)
    if known is None:
        return
    _refuse_stale(known, key=key, fence=fence, epoch=epoch)
    if known["state"] == EffectState.DONE:
        raise UsageError(
            f"effect {key} is done: what has happened cannot be forgotten, compensate it under another key"
        )
    connection.execute("DELETE FROM effect WHERE key = ?", (key,))


def _refuse_stale(known: Row, *, key: str, fence: int, epoch: int) -> None:
    """Raise LeaseLostError for an attempt that was stalled while a later one has gone on."""
    if (epoch, fence) < (known["epoch"], known["fence"]):
        raise LeaseLostError(
            f"effect {key} was begun under fence {known['fence']}, {fence} is stale: drop this attempt"
        )


def _row(connection: Connection, key: str) -> Row | None:
    row: Row | None = connection.execute("SELECT * FROM effect WHERE key = ?", (key,)).fetchone()
    return row


def _effect(row: Row) -> EffectRow:
    return EffectRow(
        key=row["key"],
        request_hash=row["request_hash"],
        state=EffectState(row["state"]),
        fence=row["fence"],
        result=row["result"],
        started_at=from_micros(row["started_at"]),
        settled_at=None if row["settled_at"] is None else from_micros(row["settled_at"]),
    )
