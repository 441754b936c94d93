"""Settings as text to paste: TOML for `interlock.toml`, or assignments for a shell; it knows no setting.

Both are made to be shown to the person who runs the command: secrets in them are the caller's to decide about.
"""

from __future__ import annotations

__all__ = ["render_environment", "render_toml"]

import json
import re
import shlex
from collections.abc import Iterator, Mapping

from interlock.protocol.errors import UsageError

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def render_toml(settings: Mapping[str, object]) -> str:
    """Return nested settings as TOML; None is left out.

    Values are texts, numbers, booleans, lists of these, and mappings for tables. Raises UsageError for anything else.
    """
    return "\n".join(_table(settings, ())) + "\n"


def render_environment(settings: Mapping[str, object]) -> str:
    """Return the same settings as `export INTERLOCK_…=…` lines, quoted for a POSIX shell; lists become JSON."""
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in _variables(settings, "INTERLOCK"))


def _table(members: Mapping[str, object], path: tuple[str, ...]) -> Iterator[str]:
    tables: list[tuple[str, Mapping[str, object]]] = []
    for name, value in members.items():
        if isinstance(value, Mapping):
            tables.append((name, value))
        elif value is not None:
            yield f"{_key(name)} = {_value(value, name)}"
    for name, table in tables:
        inner = (*path, name)
        lines = list(_table(table, inner))
        if any(not isinstance(value, Mapping) and value is not None for value in table.values()):
            yield f"\n[{'.'.join(map(_key, inner))}]"
        yield from lines


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _value(value: object, name: str) -> str:
    match value:
        case bool() | int() | float():
            return json.dumps(value)
        case str():
            return _text(value)
        case list() | tuple():
            return f"[{', '.join(_value(item, name) for item in value)}]"
        case _:
            raise UsageError(f"'{name}' is a {type(value).__name__}, which TOML cannot say: give a text")


def _text(text: str) -> str:
    """Return a basic string: TOML's escapes are JSON's, but for the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _variables(members: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    separator = "_" if prefix == "INTERLOCK" else "__"
    for name, value in members.items():
        variable = f"{prefix}{separator}{name}".upper()
        match value:
            case None:
                continue
            case Mapping() if all(re.fullmatch(r"[a-z][a-z0-9_]*", str(key)) for key in value):
                yield from _variables(value, variable)
            case str():
                yield variable, value
            case _:
                yield variable, json.dumps(value)
