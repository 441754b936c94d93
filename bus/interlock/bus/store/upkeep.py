"""What an operator does with a store as a whole: migrate, check, copy. It blocks, and works on no message."""

from __future__ import annotations

__all__ = ["Condition", "check", "copy", "migrate", "pending_statements"]

import itertools
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.bus.store import audit
from interlock.bus.store.database import Connection, Database, StoreUnavailableError
from interlock.bus.store.opening import address_of, is_shared
from interlock.bus.store.schema import migrating
from interlock.bus.store.schema.migrating import Dialect, applied_steps, first_statements, migration_statements
from interlock.bus.store.schema.revisions import Revision, known_revisions, missing
from interlock.bus.store.schema.structure import Structure, describe, differences
from interlock.bus.store.sqlite import SqliteDatabase, own_file
from interlock.protocol.errors import UsageError

_TABLES = (
    "inbox",
    "failure",
    "repair",
    "seen",
    "rejection",
    "outbox",
    "workflow",
    "timer",
    "approval",
    "effect",
    "audit",
)
"""Everything but `owner`; what refers to others comes after them."""

_COUNTED = {"inbox": "seq", "failure": "number", "repair": "number", "outbox": "seq"}
_COPIED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Condition:
    """What `check` has found."""

    schema: int
    """The store's; 0 for an empty database."""
    release: int
    """This release's."""
    problems: tuple[str, ...]
    """A line each; none when all is well."""


def migrate(address: str, *, agent: str, now: int) -> tuple[Revision, ...]:
    """Make a store, or bring it to the schema of this release; returns the steps that were missing.

    `now` is in microseconds. Raises UsageError for a later release's store, StoreBusyError for a file whose agent
    runs, StoreUnavailableError when the store cannot be reached.
    """
    if is_shared(address):
        try:
            from interlock.bus.store.postgres.store import migrate_schema  # the driver is an optional dependency
        except ModuleNotFoundError as error:
            raise UsageError(f"a store in PostgreSQL needs {error.name}: install interlock[postgres]") from error

        return migrate_schema(address_of(address, agent), agent=agent, now=now)
    file = Path(address)
    before: tuple[Revision, ...] = known_revisions()
    if file.is_file():
        with _reading(address, agent) as (database, dialect):
            before = missing(applied_steps(database.connection, dialect=dialect), known_revisions())
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(own_file(file, agent=agent, now=now)):
        return before


def pending_statements(address: str, *, agent: str) -> tuple[str, ...]:
    """Return the statements that `migrate` would run."""
    if not is_shared(address) and not Path(address).is_file():
        with closing(_memory()) as database:
            return migration_statements(database.connection, dialect="sqlite")
    with _reading(address, agent) as (database, dialect):
        return migration_statements(database.connection, dialect=dialect)


def check(address: str, *, agent: str) -> Condition:
    """Look for what is wrong with a store: its version, its structure, the file itself, the audit trail's hashes.

    Raises as `migrate` does. In PostgreSQL it takes the right to create a schema, which is not kept.
    """
    known = known_revisions()
    with _reading(address, agent) as (database, dialect):
        connection = database.connection
        applied = applied_steps(connection, dialect=dialect)
        schema, release = max(applied, default=0), known[-1].number
        steps = missing(applied, known)
        if steps:
            return Condition(schema, release, (f"schema {schema} is not {release}: run `interlock store migrate`",))
        problems = list(differences(describe(connection, dialect=dialect), _expected(database, dialect)))
        if dialect == "sqlite":
            results = [row[0] for row in connection.execute("PRAGMA integrity_check").fetchall()]
            problems += [result for result in results if result != "ok"]
        broken = audit.verify_chain(audit.trail(connection, None))
        if broken is not None:
            problems.append(f"audit line {broken} does not follow from the one before it")
    return Condition(schema, release, tuple(problems))


def copy(file: Path, address: str, *, agent: str, now: int) -> int:
    """Copy a stopped agent's file into its empty schema in PostgreSQL, in one transaction; returns the rows.

    Both are migrated first. Raises UsageError when there is no file, or the schema holds something, StoreBusyError
    when the file's agent runs.
    """
    if not is_shared(address):
        raise UsageError("a store is copied to PostgreSQL: give a postgresql:// URL, as store_url or with --to")
    if not file.is_file():
        raise UsageError(f"there is no store {file}: has its agent been started with this state_dir?")
    migrate(address, agent=agent, now=now)
    file.parent.mkdir(parents=True, exist_ok=True)
    with closing(own_file(file, agent=agent, now=now)) as source, _writing(address, agent) as target:
        held = [table for table in _TABLES if target.connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()]  # noqa: S608
        if held:
            raise UsageError(f"the schema {agent} holds rows in {', '.join(held)} already: copy into an empty one")
        target.connection.execute("DELETE FROM owner")
        rows = sum(_copy_table(source.connection, target.connection, table) for table in ("owner", *_TABLES))
        for table, column in _COUNTED.items():
            _go_on_counting(source.connection, target.connection, table, column)
    return rows


def _copy_table(source: Connection, target: Connection, table: str) -> int:
    columns = [row["name"] for row in source.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()]
    names, marks = ", ".join(columns), ", ".join("?" for _ in columns)
    rows: Iterator[Any] = iter(source.execute(f"SELECT {names} FROM {table}"))  # noqa: S608 - names of our own schema
    copied = 0
    while chunk := [tuple(row) for row in itertools.islice(rows, _COPIED_AT_ONCE)]:
        target.executemany(f"INSERT INTO {table}({names}) VALUES ({marks})", chunk)  # noqa: S608 - as above
        copied += len(chunk)
    return copied


def _go_on_counting(source: Connection, target: Connection, table: str, column: str) -> None:
    """No number is given twice, not even that of a row that was pruned."""
    counted = source.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = ?", (table,)).fetchone()[0] or 0
    last = source.execute(f"SELECT max({column}) FROM {table}").fetchone()[0] or 0  # noqa: S608 - a constant
    if newest := max(counted, last):
        target.execute(
            "SELECT setval(pg_get_serial_sequence(quote_ident(current_schema()) || '.' || ?, ?), ?)",
            (table, column, newest),
        )


def _expected(database: Database, dialect: Dialect) -> Structure:
    """Return the structure that this release makes, by making it where it does not stay."""
    if dialect == "sqlite":
        with closing(_memory()) as empty:
            migrating.migrate(empty, dialect="sqlite", now=0)
            return describe(empty.connection, dialect="sqlite")
    statements = first_statements(dialect)
    database.begin()
    try:
        database.connection.execute("CREATE SCHEMA interlock_expected")
        database.connection.execute("SET LOCAL search_path = interlock_expected")
        for statement in statements:
            database.connection.execute(statement)
        return describe(database.connection, dialect=dialect)
    finally:
        database.rollback()


def _memory() -> SqliteDatabase:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.row_factory = sqlite3.Row
    return SqliteDatabase(connection)


@contextmanager
def _reading(address: str, agent: str) -> Generator[tuple[Database, Dialect]]:
    """Open a store beside its owners, whatever its schema."""
    database: Database
    dialect: Dialect
    if is_shared(address):
        from interlock.bus.store.postgres.address import PostgresAddress  # as in `migrate`
        from interlock.bus.store.postgres.database import PostgresDatabase

        where = PostgresAddress(address_of(address, agent), agent)
        database, dialect, name = PostgresDatabase(where, announcer=""), "postgresql", str(where)
    else:
        file = Path(address)
        if not file.is_file():
            raise UsageError(f"there is no store {file}: has its agent been started with this state_dir?")
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        connection.row_factory = sqlite3.Row
        database, dialect, name = SqliteDatabase(connection), "sqlite", str(file)
    with closing(database):
        try:
            yield database, dialect
        except StoreUnavailableError:
            raise
        except database.errors as error:
            raise StoreUnavailableError(f"the store {name} cannot be read: {error}") from error


@contextmanager
def _writing(address: str, agent: str) -> Generator[Database]:
    """Open a PostgreSQL store for one transaction."""
    from interlock.bus.store.postgres.address import PostgresAddress  # as in `migrate`
    from interlock.bus.store.postgres.database import PostgresDatabase

    where = PostgresAddress(address_of(address, agent), agent)
    database = PostgresDatabase(where, announcer="")
    with closing(database):
        try:
            database.begin()
            yield database
            database.commit()
        except StoreUnavailableError:
            raise
        except database.errors as error:
            raise where.unavailable(error) from error
