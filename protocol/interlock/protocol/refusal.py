"""Why a reader of one JSON Schema may refuse what a writer of another writes; it knows neither releases nor agents.

Receivers drop unknown members, so a member that only the writer knows is no reason. What cannot be proven to be
accepted, like a value under a different pattern, counts as refused.
"""

from __future__ import annotations

__all__ = ["Refusal", "members", "refusals"]

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]

_NONE: Schema = {}
_TEXTS = {
    "title",
    "description",
    "examples",
    "default",
    "deprecated",
    "$id",
    "$schema",
    "$defs",
    "$ref",
    "discriminator",
}
_COMPARED = {
    "type", "enum", "const", "anyOf", "oneOf", "allOf", "properties", "required", "additionalProperties",
    "propertyNames", "items", "prefixItems", "pattern", "format", "minLength", "maxLength", "minItems", "maxItems",
    "minProperties", "maxProperties", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum",
}  # fmt: skip
_LOWER = {
    "minimum": "range",
    "exclusiveMinimum": "range",
    "minLength": "length",
    "minItems": "count",
    "minProperties": "count",
}
_UPPER = {
    "maximum": "range",
    "exclusiveMaximum": "range",
    "maxLength": "length",
    "maxItems": "count",
    "maxProperties": "count",
}
_PYTHON_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
    "array": (list,),
    "object": (dict,),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """One reason, at one member."""

    path: str
    """E.g. `payload.connection.port`; `[]` is any element of a list, `*` any member of a map."""
    aspect: str
    """What of the member: `absent` or `optional` where the reader requires it, else `type`, `values`, `range`, …"""
    detail: str
    """What the writer writes, and what the reader accepts."""


def refusals(writer: Schema, reader: Schema) -> tuple[Refusal, ...]:
    """Return why a reader may refuse what a writer writes; nothing when it accepts all of it."""
    return tuple(dict.fromkeys(_Comparison(writer, reader).compare(writer, reader, "")))


def members(schema: Schema) -> Mapping[str, tuple[str, bool]]:
    """Return every member of every object in a schema by its path: its own schema as canonical text, and if required.

    References are followed; a member that contains itself is not entered again.
    """
    found: dict[str, tuple[str, bool]] = {}
    _collect(schema, schema, "", found, ())
    return found


class _Comparison:
    """Two schemas with the definitions that their references lead to."""

    def __init__(self, writer: Schema, reader: Schema) -> None:
        self._roots = (writer, reader)
        self._entered: set[tuple[str, str]] = set()

    def compare(self, writer: Schema, reader: Schema, path: str) -> Iterator[Refusal]:
        """Yield the reasons at and below one place."""
        references = (str(writer.get("$ref", "")), str(reader.get("$ref", "")))
        if references in self._entered:
            return
        if all(references):
            self._entered.add(references)
        writer, reader = _resolved(writer, self._roots[0]), _resolved(reader, self._roots[1])
        if (written := _values(writer)) is not None:
            yield from self._values(written, reader, path)
        elif len(options := _options(writer)) > 1 or len(_options(reader)) > 1:
            for option in options:
                yield from self._option(option, reader, path)
        elif (accepted := _values(reader)) is not None:
            yield Refusal(path, "values", f"anything, and {_told(accepted)} would be accepted")
        else:
            yield from self._plain(writer, reader, path)
        self._entered.discard(references)

    def _values(self, written: Sequence[Any], reader: Schema, path: str) -> Iterator[Refusal]:
        refused = [value for value in written if not self._accepts(reader, value)]
        if refused:
            accepted = _values(reader)
            told = _told(accepted) if accepted is not None else f"a {_type_name(reader)}"
            yield Refusal(path, "values", f"{_told(refused)}, and {told} would be accepted")

    def _option(self, option: Schema, reader: Schema, path: str) -> Iterator[Refusal]:
        option = _resolved(option, self._roots[0])
        alternatives = [_resolved(alternative, self._roots[1]) for alternative in _options(reader)]
        reasons = [tuple(self.compare(option, alternative, path)) for alternative in alternatives]
        if not all(reasons):
            return
        alike = [why for other, why in zip(alternatives, reasons, strict=True) if _types(other) & _types(option)]
        if len(alike) == 1:
            yield from alike[0]
        else:
            yield Refusal(path, "type", f"{_type_name(option)}, and {_type_name(reader)} would be accepted")

    def _plain(self, writer: Schema, reader: Schema, path: str) -> Iterator[Refusal]:
        written, accepted = _types(writer), _types(reader)
        if accepted and not (written and _covered(written, accepted)):
            yield Refusal(path, "type", f"{_type_name(writer)}, and {_type_name(reader)} would be accepted")
            return
        yield from _limits(writer, reader, path)
        for keyword in ("pattern", "format"):
            if keyword in reader and reader[keyword] != writer.get(keyword):
                yield Refusal(path, keyword, f"{writer.get(keyword, 'any')}, and {reader[keyword]} would be accepted")
        for keyword in sorted((writer.keys() | reader.keys()) - _COMPARED - _TEXTS):
            if reader.get(keyword) != writer.get(keyword) and keyword in reader:
                yield Refusal(path, keyword, f"{writer.get(keyword, 'any')}, and {reader[keyword]} would be accepted")
        yield from self._items(writer, reader, path)
        yield from self._members(writer, reader, path)

    def _items(self, writer: Schema, reader: Schema, path: str) -> Iterator[Refusal]:
        mine, theirs = writer.get("prefixItems", ()), reader.get("prefixItems", ())
        for place, accepted in enumerate(theirs):
            yield from self.compare(
                mine[place] if place < len(mine) else writer.get("items", _NONE), accepted, f"{path}[{place}]"
            )
        if isinstance(accepted := reader.get("items"), dict):
            for written in (writer.get("items", _NONE), *mine[len(theirs) :]):
                yield from self.compare(written if isinstance(written, dict) else _NONE, accepted, f"{path}[]")

    def _members(self, writer: Schema, reader: Schema, path: str) -> Iterator[Refusal]:
        written, accepted = writer.get("properties", _NONE), reader.get("properties", _NONE)
        always = set(writer.get("required", ()))
        for name in reader.get("required", ()):
            if name not in always:
                aspect = "optional" if name in written else "absent"
                yield Refusal(_below(path, name), aspect, "not always there, and required")
        for name in written.keys() & accepted.keys():
            yield from self.compare(written[name], accepted[name], _below(path, name))
        others = reader.get("additionalProperties")
        if isinstance(others, dict):
            mine = writer.get("additionalProperties")
            yield from self.compare(mine if isinstance(mine, dict) else _NONE, others, _below(path, "*"))
        elif others is False and (unknown := sorted(written.keys() - accepted.keys())):
            yield Refusal(path, "members", f"{', '.join(unknown)}, and unknown members are refused")
        if "propertyNames" in reader:
            names = {"type": "string"}
            mine = {**names, **writer.get("propertyNames", _NONE)}
            for refusal in self.compare(mine, {**names, **reader["propertyNames"]}, _below(path, "*")):
                yield Refusal(refusal.path, "names", refusal.detail)

    def _accepts(self, reader: Schema, value: object) -> bool:
        reader = _resolved(reader, self._roots[1])
        if len(options := _options(reader)) > 1:
            return any(self._accepts(option, value) for option in options)
        if (accepted := _values(reader)) is not None:
            return value in accepted
        types = _types(reader)
        if types and not any(_is_of(value, name) for name in types):
            return False
        if isinstance(value, str):
            shortest, longest = reader.get("minLength", 0), reader.get("maxLength", len(value))
            return shortest <= len(value) <= longest and bool(re.search(reader.get("pattern", ""), value))
        if isinstance(value, int | float) and not isinstance(value, bool):
            return bool(reader.get("minimum", value) <= value <= reader.get("maximum", value))
        return True


def _limits(writer: Schema, reader: Schema, path: str) -> Iterator[Refusal]:
    for keyword, aspect in _LOWER.items():
        if keyword in reader and (keyword not in writer or writer[keyword] < reader[keyword]):
            yield Refusal(path, aspect, f"{keyword} {writer.get(keyword, 'none')}, and {reader[keyword]} is the least")
    for keyword, aspect in _UPPER.items():
        if keyword in reader and (keyword not in writer or writer[keyword] > reader[keyword]):
            yield Refusal(path, aspect, f"{keyword} {writer.get(keyword, 'none')}, and {reader[keyword]} is the most")


def _resolved(schema: Schema, root: Schema) -> Schema:
    """Follow a reference, and take the only part of an `allOf` for the whole."""
    while "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        schema = {**target, **{name: part for name, part in schema.items() if name != "$ref"}}
    for part in schema.get("allOf", ()):
        schema = {**{name: value for name, value in schema.items() if name != "allOf"}, **_resolved(part, root)}
    return schema


def _options(schema: Schema) -> Sequence[Schema]:
    options: Sequence[Schema] = schema.get("anyOf") or schema.get("oneOf") or (schema,)
    return options


def _values(schema: Schema) -> Sequence[Any] | None:
    if "const" in schema:
        return (schema["const"],)
    values: Sequence[Any] | None = schema.get("enum")
    return values


def _types(schema: Schema) -> frozenset[str]:
    if "anyOf" in schema or "oneOf" in schema:
        return frozenset().union(*(_types(option) for option in _options(schema)))
    kinds = schema.get("type", ())
    return frozenset((kinds,) if isinstance(kinds, str) else kinds)


def _covered(written: frozenset[str], accepted: frozenset[str]) -> bool:
    return all(kind in accepted or (kind == "integer" and "number" in accepted) for kind in written)


def _is_of(value: object, kind: str) -> bool:
    return isinstance(value, _PYTHON_TYPES[kind]) and not (isinstance(value, bool) and kind in {"integer", "number"})


def _type_name(schema: Schema) -> str:
    return " or ".join(sorted(_types(schema))) or "anything"


def _told(values: Sequence[Any]) -> str:
    return ", ".join(json.dumps(value, ensure_ascii=False) for value in values)


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _collect(
    schema: Schema, root: Schema, path: str, found: dict[str, tuple[str, bool]], inside: tuple[str, ...]
) -> None:
    reference = schema.get("$ref")
    if reference in inside:
        return
    inside = (*inside, reference) if reference else inside
    schema = _resolved(schema, root)
    for option in schema.get("anyOf", schema.get("oneOf", ())):
        _collect(option, root, path, found, inside)
    for name, member in schema.get("properties", _NONE).items():
        below = _below(path, name)
        text = json.dumps(_expanded(member, root, inside), sort_keys=True)
        found[below] = (text, name in schema.get("required", ()))
        _collect(member, root, below, found, inside)
    for keyword, suffix in (("items", "[]"), ("additionalProperties", ".*")):
        if isinstance(part := schema.get(keyword), dict):
            _collect(part, root, f"{path}{suffix}", found, inside)


def _expanded(schema: Any, root: Schema, inside: tuple[str, ...]) -> Any:
    """Return a schema with its references followed, so that equal ones have equal texts whatever they are called."""
    match schema:
        case {"$ref": str(reference)}:
            if reference in inside:
                return {"$ref": reference}
            return _expanded(_resolved(schema, root), root, (*inside, reference))
        case dict():
            return {name: _expanded(part, root, inside) for name, part in schema.items() if name not in _TEXTS}
        case list():
            return [_expanded(part, root, inside) for part in schema]
        case _:
            return schema
