"""What a database's tables, indexes, views and triggers look like, so that two can be compared; it changes nothing."""

from __future__ import annotations

__all__ = ["Structure", "describe", "differences"]

import re
from collections.abc import Mapping
from typing import TypeAlias

from interlock.bus.store.database import Connection
from interlock.bus.store.schema.migrating import Dialect

Structure: TypeAlias = Mapping[str, str]
"""Definition by kind and name, such as `index outbox_unsent`; free of how and when it was written."""

_OURS = "name NOT LIKE 'sqlite_%' AND name <> 'alembic_version'"

_POSTGRES = (
    """
    SELECT 'column ' || table_name || '.' || column_name AS item,
        concat_ws(' ', data_type, is_nullable, column_default, is_identity) AS definition
    FROM information_schema.columns WHERE table_schema = current_schema()
    """,
    """
    SELECT 'constraint ' || conrelid::regclass || '.' || conname AS item, pg_get_constraintdef(oid) AS definition
    FROM pg_constraint WHERE connamespace = current_schema()::regnamespace AND contype <> 'n'
    """,
    """
    SELECT 'index ' || indexname AS item, replace(indexdef, quote_ident(schemaname) || '.', '') AS definition
    FROM pg_indexes WHERE schemaname = current_schema()
    """,
    "SELECT 'view ' || viewname AS item, definition FROM pg_views WHERE schemaname = current_schema()",
    """
    SELECT 'trigger ' || tgname AS item, replace(
        pg_get_triggerdef(pg_trigger.oid), quote_ident(current_schema()) || '.', '') AS definition
    FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid
    WHERE relnamespace = current_schema()::regnamespace AND NOT tgisinternal
    """,
    """
    SELECT 'function ' || proname AS item, prosrc AS definition
    FROM pg_proc WHERE pronamespace = current_schema()::regnamespace
    """,
)


def describe(connection: Connection, *, dialect: Dialect) -> Structure:
    """Return the structure of a store."""
    return _sqlite(connection) if dialect == "sqlite" else _postgres(connection)


def differences(found: Structure, expected: Structure) -> tuple[str, ...]:
    """Return what is missing, additional or different, a line each."""
    lines: list[str] = []
    for item in sorted(found.keys() | expected.keys()):
        if item not in found:
            lines.append(f"{item} is missing")
        elif item not in expected:
            lines.append(f"{item} is no part of the schema")
        elif found[item] != expected[item]:
            lines.append(f"{item} is {found[item]}, expected {expected[item]}")
    return tuple(lines)


def _postgres(connection: Connection) -> Structure:
    rows = [row for query in _POSTGRES for row in connection.execute(query).fetchall()]
    return {row["item"]: row["definition"] for row in rows if "alembic_version" not in row["item"]}


def _sqlite(connection: Connection) -> Structure:
    structure: dict[str, str] = {}
    for kind, name, table, sql in connection.execute(
        f"SELECT type, name, tbl_name, sql FROM sqlite_master WHERE {_OURS}"  # noqa: S608 - a constant
    ).fetchall():
        if kind == "table":
            _describe_table(connection, name, structure)
        else:
            structure[f"{kind} {name}"] = f"on {table}: {_squeezed(sql)}"
    return structure


def _describe_table(connection: Connection, table: str, structure: dict[str, str]) -> None:
    """A table's text differs with who wrote it; its columns, keys and checks do not."""
    for column in connection.execute("SELECT * FROM pragma_table_info(?)", (table,)).fetchall():
        needed = column["notnull"] or column["pk"]
        details = (column["type"], "NOT NULL" if needed else "", column["dflt_value"] or "", f"key {column['pk']}")
        structure[f"column {table}.{column['name']}"] = " ".join(details)
    for index in connection.execute("SELECT * FROM pragma_index_list(?)", (table,)).fetchall():
        if index["origin"] == "u":
            columns = [
                row["name"] for row in connection.execute("SELECT * FROM pragma_index_info(?)", (index["name"],))
            ]
            structure[f"unique {table}({', '.join(columns)})"] = "unique"
    for key in connection.execute("SELECT * FROM pragma_foreign_key_list(?)", (table,)).fetchall():
        structure[f"reference {table}.{key['from']}"] = f"{key['table']}({key['to']}) on delete {key['on_delete']}"
    (sql,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    checks = sorted(re.findall(r"CHECK \((?:[^()]|\([^()]*\))*\)", _squeezed(sql)))
    structure[f"table {table}"] = " ".join((*checks, *(word for word in ("STRICT", "WITHOUT ROWID") if word in sql)))


def _squeezed(sql: str) -> str:
    """Return a statement in one line, as every writer of it would have it."""
    text = re.sub(r"\s+", " ", sql).strip()
    text = re.sub(r" \(", "(", text) if text.startswith(("CREATE INDEX", "CREATE UNIQUE")) else text
    return re.sub(r"WHEN \((.*?)\) BEGIN", r"WHEN \1 BEGIN", text)
