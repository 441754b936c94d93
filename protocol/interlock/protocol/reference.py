"""The catalogue as a page for people: who says what to whom, by when, how dangerous it is, and an example of each.

It reads the exported JSON Schemas, so what it says of a field is what a validator would; it knows no files.
"""

from __future__ import annotations

__all__ = ["message_reference"]

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from interlock.protocol.catalogue import Catalogue
from interlock.protocol.codec import encode
from interlock.protocol.examples import example
from interlock.protocol.message import Effect, Message, Route
from interlock.protocol.schemas import index_entry, schema_of

_PREFACE = """# {title}

Every message of {package}: who may send it to whom, what may answer it, by when, how dangerous it is to carry out, its
payload, and an example of the whole as it travels. Beside the answers named here any request may be answered by those
of the {life_cycle}. `*` is any agent, `all` everyone who asked for announcements of that type.{more}

Generated from the code by `interlock schemas docs --package {package}`.
"""
_NEIGHBOURS = """ The
envelope around the payload is described in [architecture](architecture.md); the same as JSON Schema and AsyncAPI is in
[schemas](../schemas)."""
_EFFECTS = {
    Effect.READ: "effect read: nothing changes",
    Effect.REVERSIBLE: "effect reversible: it changes something that can be changed back",
    Effect.DESTRUCTIVE: "effect destructive: it needs an approval",
}
_FORMATS = {"date-time": "moment, ISO 8601 with a zone"}
_PATTERNS = {
    r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$": "id, a UUID in lower case",
    r"^sha256:[0-9a-f]{64}$": "digest, `sha256:` and 64 hexadecimal digits",
    r"^[A-Z][A-Z0-9_]{1,19}-[1-9][0-9]{0,8}$": "Jira issue, like `PROJ-140`",
    r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,254}$": "identifier, up to 255 of `A-Za-z0-9._/-`",
    r"^[1-9][0-9]{0,6}(ms|s|m|h)$": "duration, like `30s`",
    r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$": "agent's name, like `qa-agent`",
    r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$": "name of a Kubernetes object",
    r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$": "host name",
    r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$": "Kubernetes quantity, like `2000m` or `4Gi`",
    r"^([1-9][0-9]{0,17}|parked:[0-9a-f]{8,64})$": "dead letter, like `12` or `parked:0f3ab91c`",
    r"^[A-Z]{3}$": "currency, like `USD`",
    r"^[0-9]+(\.[0-9]+)?(E[+-]?[0-9]+)?$": "the same as text",
}
"""How the frequent ones are said; any other is shown as it is."""


def message_reference(catalogue: Catalogue, *, package: str, own: bool = False) -> str:
    """Return the page for the messages of a package; `own` for Interlock's, which other pages stand beside.

    Raises UsageError for a message that has no example.
    """
    values: dict[str, Mapping[str, Any]] = {}
    preface = _PREFACE.format(
        title="Messages" if own else f"Messages of {package}",
        package=package,
        life_cycle="[task life cycle](#task)" if own else "task life cycle",
        more=_NEIGHBOURS if own else "",
    )
    parts = [preface]
    ordered = sorted(catalogue, key=lambda message: message.__module__)
    for module, messages in groupby(ordered, key=lambda message: message.__module__):
        parts.append(f"## {module.rpartition('.')[2].capitalize()}\n\n{_first_line(sys.modules[module].__doc__)}\n")
        for message in messages:
            schema = schema_of(message)
            definitions = dict(schema["$defs"])
            payload = definitions.pop(message.__name__)
            values |= definitions
            parts.append(_section(message, payload))
    if values:
        parts.append("## Values\n\nWhat the fields above are made of.\n")
    parts += [_value(name, schema) for name, schema in sorted(values.items())]
    return "\n".join(parts)


def _section(message: type[Message], payload: Mapping[str, Any]) -> str:
    declared = message.declaration
    facts = [index_entry(message)["kind"], _direction(declared.route), _EFFECTS[declared.effect]]
    if declared.deadline:
        facts.append(f"to be ended within {_duration(declared.deadline)}")
    if declared.replies:
        facts.append("answered by " + ", ".join(f"`{reply.declaration.type}`" for reply in declared.replies))
    if declared.upcast is not None:
        facts.append(f"version {declared.version - 1} is read as this one")
    title = f"### {declared.type}, version {declared.version}"
    parts = (title, payload["description"], f"*{'; '.join(facts)}.*", _fields(payload).rstrip("\n"), _example(message))
    return "\n\n".join(parts)


def _example(message: type[Message]) -> str:
    return f"```json\n{json.dumps(json.loads(encode(example(message))), indent=2, ensure_ascii=False)}\n```\n"


def _value(name: str, schema: Mapping[str, Any]) -> str:
    described = schema.get("description", "")
    body = _fields(schema) if "properties" in schema else f"{_type(schema)}\n"
    return f"### {name}\n\n{described}\n\n{body}"


def _fields(schema: Mapping[str, Any]) -> str:
    rows = list(_rows(schema))
    if not rows:
        return "No fields.\n"
    return "\n".join(["| field | | value | meaning |", "|---|---|---|---|", *rows]) + "\n"


def _rows(schema: Mapping[str, Any]) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        need = "required" if name in required else "optional"
        meaning = " ".join(field.get("description", "").split())
        yield f"| `{name}` | {need} | {_type(field)} | {meaning} |".replace("  |", " |")


def _type(field: Mapping[str, Any]) -> str:
    """Say in words what a JSON Schema accepts."""
    match field:
        case {"$ref": str(reference)}:
            name = reference.rpartition("/")[2]
            return f"[{name}](#{name.lower()})"
        case {"anyOf": list(options)}:
            return " or ".join(dict.fromkeys(_type(option) for option in options if option != {"type": "null"}))
        case {"enum": list(choices)}:
            return " or ".join(f"`{choice}`" for choice in choices)
        case {"type": "array", "items": dict(item)}:
            return f"list of {_type(item)}"
        case {"type": "object", "additionalProperties": dict(item)}:
            return f"object of {_type(item)} by name"
        case {"type": "string"}:
            return _FORMATS.get(field.get("format", ""), _text(field))
        case {"type": str(kind), "minimum": low, "maximum": high}:
            return f"{kind}, {low} to {high}"
        case {"type": str(kind), "minimum": low}:
            return f"{kind}, {low} or more"
        case {"type": str(kind)}:
            return kind
        case _:
            return "any"


def _text(field: Mapping[str, Any]) -> str:
    if (pattern := field.get("pattern")) in _PATTERNS:
        return _PATTERNS[pattern]
    if "pattern" in field:
        return f"text like `{field['pattern']}`".replace("|", "\\|")
    return f"text, up to {field['maxLength']} characters" if "maxLength" in field else "text"


def _direction(route: Route) -> str:
    return f"{_names(route.senders)} → {_names(route.receivers)}"


def _names(names: frozenset[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit if seconds != size else unit[:-1]}"
    return f"{seconds:g} seconds"


def _first_line(text: str | None) -> str:
    return (text or "").partition("\n")[0]
