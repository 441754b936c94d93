"""The schema is built once, step by step, and a database of another release is left alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace

import pytest

from interlock.bus.store.migrations import MIGRATIONS, Migration, migrate
from interlock.protocol.errors import UsageError

BROKEN = Migration(1, "broken", ("CREATE TABLE a(b)", "CREATE TABLE a(b)"))


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = sqlite3.connect(":memory:", isolation_level=None)
    yield opened
    opened.close()


def schema(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT name FROM sqlite_schema ORDER BY name")]


def test_migrations_are_numbered_from_1_without_gaps() -> None:
    assert [migration.number for migration in MIGRATIONS] == list(range(1, len(MIGRATIONS) + 1))


def test_migrating_again_changes_nothing(connection: sqlite3.Connection) -> None:
    assert migrate(connection, MIGRATIONS, now=1) == len(MIGRATIONS)
    before = schema(connection), connection.execute("SELECT * FROM schema_version").fetchall()
    assert migrate(connection, MIGRATIONS, now=2) == len(MIGRATIONS)
    assert (schema(connection), connection.execute("SELECT * FROM schema_version").fetchall()) == before


def test_what_is_missing_is_added_to_an_older_database(connection: sqlite3.Connection) -> None:
    migrate(connection, MIGRATIONS[:2], now=1)
    assert "outbox" not in schema(connection)
    migrate(connection, MIGRATIONS, now=2)
    assert "outbox" in schema(connection)


def test_a_later_schema_is_refused(connection: sqlite3.Connection) -> None:
    migrate(connection, MIGRATIONS, now=1)
    with pytest.raises(UsageError, match=f"has schema {len(MIGRATIONS)}, this release knows 2"):
        migrate(connection, MIGRATIONS[:2], now=2)


def test_an_edited_migration_is_refused(connection: sqlite3.Connection) -> None:
    migrate(connection, MIGRATIONS, now=1)
    edited = (replace(MIGRATIONS[0], statements=("SELECT 1",)), *MIGRATIONS[1:])
    with pytest.raises(UsageError, match=r"migration 1 \(ownership\) is not the one"):
        migrate(connection, edited, now=2)


def test_a_step_that_fails_leaves_nothing_of_itself(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(connection, (BROKEN,), now=1)
    assert schema(connection) == ["schema_version"]
