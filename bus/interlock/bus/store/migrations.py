"""The schema of the SQLite store as numbered steps, applied in order and once; it knows no rows.

A released migration is never edited: its checksum is in every database that it was applied to. Times are integer
microseconds since 1970 in UTC.
"""

from __future__ import annotations

__all__ = ["MIGRATIONS", "Migration", "migrate"]

import hashlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from interlock.protocol.errors import UsageError


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema."""

    number: int
    """From 1, without gaps."""
    name: str
    statements: tuple[str, ...]

    @property
    def checksum(self) -> str:
        """SHA-256 of the statements, in hexadecimal."""
        return hashlib.sha256(";\n".join(self.statements).encode()).hexdigest()


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration], *, now: int) -> int:
    """Apply what is missing, each step in a transaction of its own, and return the number of the last one.

    The connection must be in autocommit mode. Raises UsageError, changing nothing, when the database was written by a
    later release, or when a migration is no longer the one that was applied.
    """
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schema_version("
        "number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
    )
    applied: dict[int, str] = dict(connection.execute("SELECT number, checksum FROM schema_version").fetchall())
    newest = max((migration.number for migration in migrations), default=0)
    if max(applied, default=0) > newest:
        raise UsageError(
            f"the store has schema {max(applied)}, this release knows {newest}: "
            "run the release that wrote it, or a later one"
        )
    for migration in migrations:
        if migration.number not in applied:
            _apply(connection, migration, now=now)
        elif applied[migration.number] != migration.checksum:
            raise UsageError(
                f"migration {migration.number} ({migration.name}) is not the one that this store was made with: "
                "released migrations are never edited, add a new one"
            )
    return newest


def _apply(connection: sqlite3.Connection, migration: Migration, *, now: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in migration.statements:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO schema_version(number, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
            (migration.number, migration.name, migration.checksum, now),
        )
    except sqlite3.Error:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        1,
        "ownership",
        (
            # One row: a file belongs to one agent. `fence` is the last fencing token that was given out.
            """
            CREATE TABLE owner(
                agent TEXT PRIMARY KEY, epoch INTEGER NOT NULL, fence INTEGER NOT NULL, opened_at INTEGER NOT NULL
            ) STRICT
            """,
        ),
    ),
    Migration(
        2,
        "inbox",
        (
            # AUTOINCREMENT: a number is not given again after its row was pruned.
            """
            CREATE TABLE inbox(
                seq INTEGER PRIMARY KEY AUTOINCREMENT,
                message_id TEXT NOT NULL UNIQUE,
                sender TEXT NOT NULL,
                type TEXT NOT NULL,
                conversation_id TEXT NOT NULL,
                body BLOB NOT NULL,
                body_hash BLOB NOT NULL,
                reply_to TEXT,
                received_at INTEGER NOT NULL,
                state TEXT NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'leased', 'done', 'dead')),
                attempts INTEGER NOT NULL DEFAULT 0,
                not_before INTEGER,
                fence INTEGER NOT NULL DEFAULT 0,
                lease_until INTEGER,
                ended_at INTEGER,
                CHECK ((state = 'leased') = (lease_until IS NOT NULL)),
                CHECK ((state IN ('done', 'dead')) = (ended_at IS NOT NULL))
            ) STRICT
            """,
            "CREATE INDEX inbox_ready ON inbox(seq) WHERE state = 'ready'",
            "CREATE INDEX inbox_open ON inbox(conversation_id, seq) WHERE state IN ('ready', 'leased')",
            "CREATE INDEX inbox_leased ON inbox(conversation_id) WHERE state = 'leased'",
            "CREATE INDEX inbox_lease_end ON inbox(lease_until) WHERE state = 'leased'",
            "CREATE INDEX inbox_waiting ON inbox(not_before) WHERE state = 'ready' AND not_before IS NOT NULL",
            "CREATE INDEX inbox_dead ON inbox(seq) WHERE state = 'dead'",
            "CREATE INDEX inbox_done ON inbox(ended_at) WHERE state = 'done'",
            # The first open message of each conversation in which none is being worked on, due or not.
            """
            CREATE VIEW inbox_head AS SELECT * FROM inbox AS head
            WHERE head.state = 'ready'
                AND NOT EXISTS (
                    SELECT 1 FROM inbox AS leased
                    WHERE leased.conversation_id = head.conversation_id AND leased.state = 'leased')
                AND NOT EXISTS (
                    SELECT 1 FROM inbox AS earlier
                    WHERE earlier.conversation_id = head.conversation_id AND earlier.state IN ('ready', 'leased')
                        AND earlier.seq < head.seq)
            """,
            """
            CREATE TABLE failure(
                number INTEGER PRIMARY KEY,
                seq INTEGER NOT NULL REFERENCES inbox(seq) ON DELETE CASCADE,
                at INTEGER NOT NULL,
                error TEXT NOT NULL
            ) STRICT
            """,
            "CREATE INDEX failure_of ON failure(seq)",
            # Keys of de-duplication that outlive their pruned inbox rows.
            """
            CREATE TABLE seen(
                message_id TEXT PRIMARY KEY, body_hash BLOB NOT NULL, day INTEGER NOT NULL
            ) STRICT, WITHOUT ROWID
            """,
            """
            CREATE TABLE rejection(
                body_hash TEXT NOT NULL,
                code TEXT NOT NULL,
                reason TEXT NOT NULL,
                times INTEGER NOT NULL,
                first_at INTEGER NOT NULL,
                last_at INTEGER NOT NULL,
                PRIMARY KEY (body_hash, code)
            ) STRICT, WITHOUT ROWID
            """,
        ),
    ),
    Migration(
        3,
        "outbox",
        (
            """
            CREATE TABLE outbox(
                seq INTEGER PRIMARY KEY AUTOINCREMENT,
                message_id TEXT NOT NULL UNIQUE,
                receiver TEXT NOT NULL,
                type TEXT NOT NULL,
                conversation_id TEXT NOT NULL,
                body BLOB NOT NULL,
                created_at INTEGER NOT NULL,
                causation_id TEXT,
                reply_to TEXT,
                traceparent TEXT,
                state TEXT NOT NULL DEFAULT 'unsent' CHECK (state IN ('unsent', 'sent', 'abandoned')),
                attempts INTEGER NOT NULL DEFAULT 0,
                not_before INTEGER,
                error TEXT,
                ended_at INTEGER,
                CHECK ((state = 'unsent') = (ended_at IS NULL))
            ) STRICT
            """,
            "CREATE INDEX outbox_unsent ON outbox(seq) WHERE state = 'unsent'",
            "CREATE INDEX outbox_waiting ON outbox(not_before) WHERE state = 'unsent' AND not_before IS NOT NULL",
            """
            CREATE INDEX outbox_held ON outbox(conversation_id, receiver, seq)
            WHERE state = 'unsent' AND not_before IS NOT NULL
            """,
            "CREATE INDEX outbox_sent ON outbox(ended_at) WHERE state = 'sent'",
        ),
    ),
    Migration(
        4,
        "workflows",
        (
            """
            CREATE TABLE workflow(
                id TEXT PRIMARY KEY,
                kind TEXT NOT NULL,
                version INTEGER NOT NULL CHECK (version >= 1),
                status TEXT NOT NULL,
                ended INTEGER NOT NULL CHECK (ended IN (0, 1)),
                state BLOB NOT NULL,
                updated_at INTEGER NOT NULL
            ) STRICT
            """,
            "CREATE INDEX workflow_open ON workflow(status) WHERE ended = 0",
            """
            CREATE TABLE timer(
                conversation_id TEXT NOT NULL,
                name TEXT NOT NULL,
                due_at INTEGER NOT NULL,
                PRIMARY KEY (conversation_id, name)
            ) STRICT, WITHOUT ROWID
            """,
            "CREATE INDEX timer_due ON timer(due_at)",
        ),
    ),
    Migration(
        5,
        "approvals and effects",
        (
            """
            CREATE TABLE approval(
                id TEXT PRIMARY KEY,
                conversation_id TEXT NOT NULL,
                subject TEXT NOT NULL,
                digest TEXT NOT NULL,
                environment TEXT NOT NULL,
                author TEXT NOT NULL,
                summary TEXT NOT NULL,
                state TEXT NOT NULL CHECK (state IN ('open', 'granted', 'used', 'denied', 'void')),
                requested_at INTEGER NOT NULL,
                expires_at INTEGER NOT NULL,
                approver TEXT,
                decided_at INTEGER,
                reason TEXT
            ) STRICT
            """,
            "CREATE INDEX approval_of ON approval(conversation_id)",
            """
            CREATE UNIQUE INDEX approval_pending ON approval(conversation_id, subject, digest)
            WHERE state IN ('open', 'granted')
            """,
            """
            CREATE TRIGGER approval_terminal BEFORE UPDATE ON approval WHEN OLD.state IN ('used', 'denied', 'void')
            BEGIN SELECT RAISE(ABORT, 'a decided approval does not change'); END
            """,
            """
            CREATE TABLE effect(
                key TEXT PRIMARY KEY,
                request_hash TEXT NOT NULL,
                state TEXT NOT NULL CHECK (state IN ('started', 'done', 'failed', 'unknown')),
                epoch INTEGER NOT NULL,
                fence INTEGER NOT NULL,
                result TEXT,
                started_at INTEGER NOT NULL,
                settled_at INTEGER
            ) STRICT
            """,
        ),
    ),
    Migration(
        6,
        "audit",
        (
            """
            CREATE TABLE audit(
                number INTEGER PRIMARY KEY,
                at INTEGER NOT NULL,
                conversation_id TEXT NOT NULL,
                actor TEXT NOT NULL,
                action TEXT NOT NULL,
                details TEXT NOT NULL,
                previous_hash TEXT NOT NULL UNIQUE,
                hash TEXT NOT NULL
            ) STRICT
            """,
            "CREATE INDEX audit_of ON audit(conversation_id)",
            """
            CREATE TRIGGER audit_kept BEFORE DELETE ON audit
            BEGIN SELECT RAISE(ABORT, 'the audit trail is only appended to'); END
            """,
            """
            CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit
            BEGIN SELECT RAISE(ABORT, 'the audit trail is only appended to'); END
            """,
        ),
    ),
    Migration(
        7,
        "repairs",
        (
            # A dropped or replaced message stays `dead` in the inbox: what people did about it stands here.
            """
            CREATE TABLE repair(
                number INTEGER PRIMARY KEY,
                seq INTEGER NOT NULL REFERENCES inbox(seq) ON DELETE CASCADE,
                key TEXT,
                action TEXT NOT NULL CHECK (action IN ('retry', 'drop', 'edit')),
                at INTEGER NOT NULL,
                actor TEXT NOT NULL,
                reason TEXT NOT NULL,
                replacement_id TEXT UNIQUE,
                CHECK ((action = 'edit') = (replacement_id IS NOT NULL)),
                UNIQUE (seq, key)
            ) STRICT
            """,
            "CREATE INDEX repair_of ON repair(seq)",
            "CREATE UNIQUE INDEX repair_end ON repair(seq) WHERE action IN ('drop', 'edit')",
        ),
    ),
)
