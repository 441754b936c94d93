"""Hypothesis strategies for whole messages, built from the JSON Schemas that the catalogue exports."""

from __future__ import annotations

__all__ = ["message_documents", "values_of"]

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

from hypothesis import strategies as st

from interlock.protocol import CATALOGUE, Message
from interlock.protocol.export import export

Schema = Mapping[str, Any]

_LETTERS = st.sampled_from("abcXYZ019 .,:-_/@#<>&\"'\\{}$%`한국어äé日🚦\n\t")
_MOMENTS = st.datetimes(
    min_value=datetime(2000, 1, 1),
    max_value=datetime(2199, 12, 31),
    timezones=st.just(UTC),
)


def message_documents(message: type[Message]) -> st.SearchStrategy[dict[str, Any]]:
    """Return envelopes of this message, with all their metadata, as JSON values that its schema allows."""
    declared = message.declaration
    schema = _schemas()[f"{declared.type}.v{declared.version}.json"]
    return values_of(schema, schema.get("$defs", {}))


@lru_cache(maxsize=1)
def _schemas() -> Mapping[str, Schema]:
    return {name: json.loads(content) for name, content in export(CATALOGUE).items()}


def values_of(schema: Schema, definitions: Mapping[str, Schema]) -> st.SearchStrategy[Any]:
    """Return JSON values that a schema allows; `definitions` are those that its references name."""
    if "$ref" in schema:
        return values_of(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([values_of(option, definitions) for option in schema["anyOf"]])
    by_type: dict[str, Callable[[], st.SearchStrategy[Any]]] = {
        "null": st.none,
        "boolean": st.booleans,
        "integer": lambda: st.integers(schema.get("minimum", -(2**31)), schema.get("maximum", 2**31)),
        "number": lambda: st.integers(0, 10**9).map(lambda hundredths: hundredths / 100),
        "string": partial(_strings, schema),
        "array": lambda: st.lists(
            values_of(schema["items"], definitions), min_size=schema.get("minItems", 0), max_size=3
        ),
        "object": partial(_objects, schema, definitions),
    }
    return by_type[schema["type"]]()


def _strings(schema: Schema) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        return _MOMENTS.map(datetime.isoformat)
    longest = schema.get("maxLength", 300)
    if "E[+-]?" in schema.get("pattern", ""):
        return st.decimals(0, 10**9, places=2).map(str)
    if "pattern" in schema:
        return st.from_regex(schema["pattern"], fullmatch=True, alphabet=st.characters(codec="ascii")).filter(
            lambda text: len(text) <= longest
        )
    return st.text(_LETTERS, min_size=schema.get("minLength", 0), max_size=min(longest, 40))


def _objects(schema: Schema, definitions: Mapping[str, Schema]) -> st.SearchStrategy[dict[str, Any]]:
    if "propertyNames" in schema:
        names = _strings(schema["propertyNames"])
        return st.dictionaries(names, values_of(schema["additionalProperties"], definitions), max_size=3)
    members = {name: values_of(member, definitions) for name, member in schema["properties"].items()}
    required = set(schema.get("required", ()))
    return st.fixed_dictionaries(
        {name: values for name, values in members.items() if name in required},
        optional={name: values for name, values in members.items() if name not in required},
    )
