"""Messages as JSON Schema, for those who do not write Python; it knows no files.

A schema accepts what a receiver accepts: unknown members are allowed, since receivers drop them.
"""

from __future__ import annotations

__all__ = ["DECIMAL", "file_name", "index_entry", "schema_of"]

import ast
import inspect
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import UsageError
from interlock.protocol.message import Event, Message, Reply, Request, Route

_METADATA = ("id", "version", "sentAt", "conversationId")
"""What the specification's four-field form lacks, and agents require of one another."""
DECIMAL = r"^[0-9]+(\.[0-9]+)?(E[+-]?[0-9]+)?$"
"""How Python writes a `Decimal` that is not negative."""


def file_name(message: type[Message]) -> str:
    """Return the name of the file that a message's schema is exported to."""
    return f"{message.declaration.type}.v{message.declaration.version}.json"


class _MessageSchema(GenerateJsonSchema):
    """Open for additional members, and described by the docstrings of classes and attributes."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - the overridden signature
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        generated = super().model_schema(schema)
        model: type[BaseModel] = schema["cls"]
        generated.pop("additionalProperties", None)
        generated["description"] = inspect.cleandoc(model.__doc__ or "")
        for name, text in _attribute_docstrings(model).items():
            generated["properties"][model.model_fields[name].alias or name]["description"] = text
        return generated

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        generated = super().dict_schema(schema)
        for pattern, value in generated.pop("patternProperties", {}).items():
            generated |= {"propertyNames": {"pattern": pattern}, "additionalProperties": value}
        return generated

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        generated = super().decimal_schema(schema)
        return {
            "anyOf": [
                option | {"pattern": DECIMAL} if option["type"] == "string" else option for option in generated["anyOf"]
            ]
        }

    def generate(self, schema: core_schema.CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        return {"$schema": self.schema_dialect, **super().generate(schema, mode)}


def schema_of(message: type[Message]) -> Mapping[str, Any]:
    """Return the JSON Schema of a message: its envelope with its payload."""
    declared = message.declaration
    schema = Envelope[message].model_json_schema(by_alias=True, schema_generator=_MessageSchema)  # type: ignore[valid-type]
    properties = schema["properties"]
    properties["type"] = {"const": declared.type}
    properties["version"] |= {"const": declared.version}
    for optional in ("default", "minimum", "maximum"):
        del properties["version"][optional]
    return schema | {
        "$id": f"urn:interlock:message:{declared.type}:v{declared.version}",
        "title": message.__name__,
        "description": inspect.cleandoc(message.__doc__ or ""),
        "required": sorted({*schema["required"], *_METADATA}),
    }


def index_entry(message: type[Message]) -> Mapping[str, Any]:
    """Return what is said about a message beside its schema: route, replies, deadline, effect.

    Raises UsageError for a class that is no request, reply or event.
    """
    declared = message.declaration
    return {
        "type": declared.type,
        "version": declared.version,
        "kind": _kind(message),
        "route": _route(declared.route),
        "effect": declared.effect.value,
        "replies": sorted(reply.declaration.type for reply in declared.replies),
        "deadlineSeconds": declared.deadline,
        **({"upcasts": True} if declared.upcast is not None else {}),
        "schema": file_name(message),
    }


def _kind(message: type[Message]) -> str:
    for kind in (Request, Reply, Event):
        if issubclass(message, kind):
            return kind.__name__.lower()
    raise UsageError(f"{message.__name__} is no Request, Reply or Event; derive it from one of them")


def _route(route: Route) -> Mapping[str, Sequence[str]]:
    return {"from": sorted(route.senders), "to": sorted(route.receivers)}


def _attribute_docstrings(model: type[BaseModel]) -> Mapping[str, str]:
    """Return the text below each attribute; read only here, since it costs more than an import may take."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        module = inspect.getmodule(base)
        if module is not None and issubclass(base, BaseModel) and base is not BaseModel:
            found |= _docstrings_by_class(inspect.getsource(module)).get(base.__name__.partition("[")[0], {})
    return {name: text for name, text in found.items() if name in model.model_fields}


@cache
def _docstrings_by_class(source: str) -> Mapping[str, Mapping[str, str]]:
    classes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef)]
    return {node.name: dict(_documented_attributes(node)) for node in classes}


def _documented_attributes(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, following in zip(node.body, node.body[1:], strict=False):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, inspect.cleandoc(text)
            case _:
                pass
