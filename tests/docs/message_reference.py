"""docs/messages.md as the catalogue says it: `PYTHONPATH=tests python -m docs.message_reference > docs/messages.md`.

It reads the exported JSON Schemas, so what it says of a field is what a validator would.
"""

from __future__ import annotations

__all__ = ["message_reference"]

import json
import sys
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.export import export
from interlock.protocol.message import Message, Route

_PREFACE = """# Messages

Every message of the catalogue: who may send it to whom, what may answer it, by when, and its payload. Beside the
answers named here any request may be answered by those of the [task life cycle](#task). `*` is any agent, `all`
everyone who asked for announcements of that type. The envelope around the payload is described in
[architecture](architecture.md); the same as JSON Schema is in [schemas](../schemas).

Generated from the code by `PYTHONPATH=tests python -m docs.message_reference > docs/messages.md`.
"""
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


def message_reference() -> str:
    """Return the whole document."""
    files = export()
    kinds = {entry["type"]: entry["kind"] for entry in json.loads(files["index.json"])["messages"]}
    values: dict[str, Mapping[str, Any]] = {}
    parts = [_PREFACE]
    ordered = sorted(CATALOGUE, key=lambda message: message.__module__)
    for module, messages in groupby(ordered, key=lambda message: message.__module__):
        parts.append(f"## {module.rpartition('.')[2].capitalize()}\n\n{_first_line(sys.modules[module].__doc__)}\n")
        for message in messages:
            declared = message.declaration
            schema = json.loads(files[f"{declared.type}.v{declared.version}.json"])
            payload = schema["$defs"].pop(message.__name__)
            values |= schema["$defs"]
            parts.append(_section(message, payload, kind=kinds[declared.type]))
    parts.append("## Values\n\nWhat the fields above are made of.\n")
    parts += [_value(name, schema) for name, schema in sorted(values.items())]
    return "\n".join(parts)


def _section(message: type[Message], payload: Mapping[str, Any], *, kind: str) -> str:
    declared = message.declaration
    facts = [kind, _direction(declared.route), f"effect {declared.effect}"]
    if declared.deadline:
        facts.append(f"to be ended within {_duration(declared.deadline)}")
    if declared.replies:
        facts.append("answered by " + ", ".join(f"`{reply.declaration.type}`" for reply in declared.replies))
    title = f"### {declared.type}, version {declared.version}"
    return f"{title}\n\n{payload['description']}\n\n*{'; '.join(facts)}.*\n\n{_fields(payload)}"


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


if __name__ == "__main__":
    sys.stdout.write(message_reference())
