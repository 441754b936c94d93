"""Brings a store's tables to the schema of this release, or says what they lack; it knows no rows."""

from __future__ import annotations

__all__ = ["Dialect", "applied_steps", "first_statements", "migrate", "migration_statements"]

from collections.abc import Mapping
from typing import Literal, TypeAlias

from interlock.bus.store.database import Connection, Database
from interlock.bus.store.schema.first import written_statements
from interlock.bus.store.schema.revisions import Revision, Steps, known_revisions, missing

Dialect: TypeAlias = Literal["sqlite", "postgresql"]

_HISTORY = {
    "sqlite": (
        "CREATE TABLE schema_version("
        "number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT"
    ),
    "postgresql": (
        "CREATE TABLE schema_version("
        "number BIGINT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, applied_at BIGINT NOT NULL)"
    ),
}
_ALEMBIC = (
    "CREATE TABLE alembic_version("
    "version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
_TABLES: Mapping[Dialect, str] = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table'",
    "postgresql": "SELECT CAST(tablename AS TEXT) AS name FROM pg_tables WHERE schemaname = current_schema()",
}


def applied_steps(connection: Connection, *, dialect: Dialect) -> Steps:
    """Return the steps that a store was made with; none for an empty database."""
    if "schema_version" not in _tables(connection, dialect):
        return {}
    rows = connection.execute("SELECT number, checksum FROM schema_version ORDER BY number").fetchall()
    return {row["number"]: row["checksum"] for row in rows}


def migrate(database: Database, *, dialect: Dialect, now: int) -> tuple[Revision, ...]:
    """Apply what is missing in one transaction, and return it; of two processes that do so at once, one finds nothing.

    Raises UsageError, changing nothing, when `missing` does.
    """
    known = known_revisions()
    found = applied_steps(database.connection, dialect=dialect)
    if not missing(found, known):
        return ()
    # Loading Alembic takes its time, during which no transaction may be open: the server ends one that idles.
    statements = migration_statements(database.connection, dialect=dialect)
    database.begin()
    try:
        applied = applied_steps(database.connection, dialect=dialect)
        steps = missing(applied, known)
        if applied != found:
            statements = migration_statements(database.connection, dialect=dialect)
        for statement in statements:
            database.connection.execute(statement)
        for step in steps:
            database.connection.execute(
                "INSERT INTO schema_version(number, name, checksum, applied_at) VALUES (?, ?, ?, ?)",
                (step.number, step.name, step.checksum, now),
            )
        database.commit()
    except BaseException:
        database.rollback()
        raise
    return steps


def migration_statements(connection: Connection, *, dialect: Dialect) -> tuple[str, ...]:
    """Return the statements that bring a store to this release's schema, without running them."""
    applied = applied_steps(connection, dialect=dialect)
    steps = missing(applied, known_revisions())
    if not applied:
        return first_statements(dialect)
    if not steps:
        return ()

    from interlock.bus.store.schema.rendering import render  # only a store of another release pays for Alembic

    before = f"{max(applied):04}"
    prelude: tuple[str, ...] = ()
    if "alembic_version" not in _tables(connection, dialect):
        # A file from before Alembic: it stands where Alembic would have brought it.
        prelude = (_ALEMBIC, f"INSERT INTO alembic_version(version_num) VALUES ('{before}')")  # noqa: S608 - a number
    return prelude + render(steps, dialect=dialect, before=before)


def first_statements(dialect: Dialect) -> tuple[str, ...]:
    """Return the statements that make an empty database a store."""
    known = known_revisions()
    statements = written_statements(dialect, known)
    if statements is None:
        from interlock.bus.store.schema.rendering import render  # as above

        statements = render(known, dialect=dialect, before=None)
    return (_HISTORY[dialect], *statements)


def _tables(connection: Connection, dialect: Dialect) -> set[str]:
    return {row["name"] for row in connection.execute(_TABLES[dialect]).fetchall()}
