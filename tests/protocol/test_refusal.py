"""Two JSON Schemas compared: what a reader of one may refuse of what a writer of the other writes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from interlock.protocol.refusal import members, refusals
from message_strategies import values_of

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}


def thing(*required: str, **properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(required)}


@pytest.mark.parametrize(
    ("writer", "reader", "found"),
    [
        (thing(), thing(a=TEXT), []),
        (thing("a", a=TEXT), thing(), []),
        (thing(a=TEXT), thing("a", a=TEXT), [("a", "optional")]),
        (thing(), thing("a", a=TEXT), [("a", "absent")]),
        (thing(a=thing(b=NUMBER)), thing(a=thing(b=TEXT)), [("a.b", "type")]),
        (NUMBER, {"type": "number"}, []),
        ({"type": "number"}, NUMBER, [("", "type")]),
        ({}, TEXT, [("", "type")]),
        (TEXT, {}, []),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, []),
        ({"enum": ["a", "b"]}, {"enum": ["a"]}, [("", "values")]),
        ({"const": "a"}, {"const": "b"}, [("", "values")]),
        ({"enum": ["a", "b"]}, {"type": "string", "maxLength": 1}, []),
        ({"enum": ["a", "bb"]}, {"type": "string", "maxLength": 1}, [("", "values")]),
        ({"const": 1}, {"type": "integer", "minimum": 2}, [("", "values")]),
        ({"const": True}, NUMBER, [("", "values")]),
        (TEXT, {"enum": ["a"]}, [("", "values")]),
        ({**TEXT, "pattern": "^a$"}, TEXT, []),
        (TEXT, {**TEXT, "pattern": "^a$"}, [("", "pattern")]),
        ({**TEXT, "pattern": "^a$"}, {**TEXT, "pattern": "^b$"}, [("", "pattern")]),
        (TEXT, {**TEXT, "format": "date-time"}, [("", "format")]),
        ({**TEXT, "maxLength": 5}, {**TEXT, "maxLength": 6}, []),
        ({**TEXT, "maxLength": 6}, {**TEXT, "maxLength": 5}, [("", "length")]),
        (TEXT, {**TEXT, "minLength": 1}, [("", "length")]),
        ({**NUMBER, "minimum": 0}, {**NUMBER, "minimum": 1}, [("", "range")]),
        ({**NUMBER, "exclusiveMaximum": 9}, {**NUMBER, "exclusiveMaximum": 8}, [("", "range")]),
        (NUMBER, {**NUMBER, "multipleOf": 2}, [("", "multipleOf")]),
        ({"type": "array", "items": NUMBER}, {"type": "array", "items": TEXT}, [("[]", "type")]),
        ({"type": "array", "items": thing()}, {"type": "array", "items": thing("a", a=TEXT)}, [("[].a", "absent")]),
        ({"type": "array"}, {"type": "array", "minItems": 1}, [("", "count")]),
        ({"type": "array", "prefixItems": [TEXT]}, {"type": "array", "prefixItems": [NUMBER]}, [("[0]", "type")]),
        (
            {"type": "object", "additionalProperties": NUMBER},
            {"type": "object", "additionalProperties": TEXT},
            [("*", "type")],
        ),
        (
            {"type": "object", "additionalProperties": TEXT},
            {"type": "object", "additionalProperties": TEXT, "propertyNames": {"pattern": "^a"}},
            [("*", "names")],
        ),
        (thing(a=TEXT), {"type": "object", "properties": {}, "additionalProperties": False}, [("", "members")]),
        ({"anyOf": [TEXT, {"type": "null"}]}, TEXT, [("", "type")]),
        (TEXT, {"anyOf": [TEXT, {"type": "null"}]}, []),
        (
            {"anyOf": [{**TEXT, "maxLength": 6}, NUMBER]},
            {"anyOf": [NUMBER, {**TEXT, "maxLength": 5}]},
            [("", "length")],
        ),
        ({"oneOf": [TEXT, NUMBER]}, {"anyOf": [{"type": "boolean"}, {"type": "null"}]}, [("", "type")]),
        ({"allOf": [TEXT]}, NUMBER, [("", "type")]),
        ({"type": ["string", "null"]}, TEXT, [("", "type")]),
    ],
)
def test_what_is_refused_where(writer: Schema, reader: Schema, found: list[tuple[str, str]]) -> None:
    assert list(dict.fromkeys((refusal.path, refusal.aspect) for refusal in refusals(writer, reader))) == found


def test_references_are_followed_whatever_the_definitions_are_called() -> None:
    writer = {"$ref": "#/$defs/Old", "$defs": {"Old": thing("a", a={"$ref": "#/$defs/N"}), "N": NUMBER}}
    reader = {"$ref": "#/$defs/New", "$defs": {"New": thing("a", a={"$ref": "#/$defs/M"}), "M": TEXT}}

    assert [(refusal.path, refusal.aspect) for refusal in refusals(writer, reader)] == [("a", "type")]


def test_a_schema_that_contains_itself_comes_to_an_end() -> None:
    def tree(leaf: Schema) -> Schema:
        node = thing("leaf", leaf=leaf, children={"type": "array", "items": {"$ref": "#/$defs/Node"}})
        return {"$ref": "#/$defs/Node", "$defs": {"Node": node}}

    assert refusals(tree(TEXT), tree(TEXT)) == ()
    assert [refusal.path for refusal in refusals(tree(TEXT), tree(NUMBER))] == ["leaf"]
    assert set(members(tree(TEXT))) == {"leaf", "children"}


@st.composite
def leaves(draw: st.DrawFn) -> Schema:
    low = draw(st.integers(0, 3))
    ranged = {**NUMBER, "minimum": low, "maximum": low + draw(st.integers(0, 3))}
    short = {**TEXT, "maxLength": draw(st.integers(1, 4))}
    values = {"enum": draw(st.lists(st.sampled_from(["a", "b", 1, 2]), min_size=1, unique=True))}
    kinds: list[Schema] = [{"type": kind} for kind in ("string", "integer", "number", "boolean", "null")]
    return draw(st.sampled_from([ranged, short, values, *kinds]))


@st.composite
def branches(draw: st.DrawFn, parts: st.SearchStrategy[Schema]) -> Schema:
    match draw(st.sampled_from(["array", "anyOf", "object"])):
        case "array":
            return {"type": "array", "items": draw(parts), "minItems": draw(st.integers(0, 2))}
        case "anyOf":
            return {"anyOf": draw(st.lists(parts, min_size=2, max_size=3))}
        case _:
            properties = draw(st.dictionaries(st.sampled_from("abc"), parts, max_size=2))
            return thing(*draw(st.sets(st.sampled_from("abc"))) & properties.keys(), **properties)


SMALL = st.recursive(leaves(), branches, max_leaves=4)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SMALL, SMALL, st.data())
def test_what_a_validator_refuses_has_a_reason(writer: Schema, reader: Schema, data: st.DataObject) -> None:
    written = data.draw(values_of(writer, {}))

    assert Draft202012Validator(reader).is_valid(written) or refusals(writer, reader)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SMALL)
def test_a_reader_refuses_nothing_of_its_own(schema: Schema) -> None:
    assert refusals(schema, schema) == ()
