"""The catalogue as JSON Schema files, for those who do not write Python; it knows no broker.

`interlock schemas export` writes them, `interlock schemas check` tells whether they are up to date.
A schema accepts what a receiver accepts: unknown members are allowed, since receivers drop them.
"""

from __future__ import annotations

__all__ = ["Difference", "check", "export", "index_entry", "schema_of"]

import ast
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from interlock.protocol.catalogue import CATALOGUE, Catalogue
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import UsageError
from interlock.protocol.message import Event, Message, Reply, Request, Route

_INDEX = "index.json"
_METADATA = ("id", "version", "sentAt", "conversationId")
"""What the specification's four-field form lacks, and agents require of one another."""
_DECIMAL = {"pattern": r"^[0-9]+(\.[0-9]+)?(E[+-]?[0-9]+)?$"}
"""How Python writes a `Decimal` that is not negative."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One file that is not as the code says."""

    file: str
    problem: Literal["missing", "outdated", "unexpected"]

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}"


def export(catalogue: Catalogue = CATALOGUE) -> Mapping[str, bytes]:
    """Return the content of every schema file by its name: one `<type>.v<version>.json` each, and `index.json`.

    The same catalogue gives the same bytes.
    """
    files = {_file_name(message): _formatted(schema_of(message)) for message in catalogue}
    files[_INDEX] = _formatted({"messages": [index_entry(message) for message in catalogue]})
    return files


def check(folder: Path, catalogue: Catalogue = CATALOGUE) -> tuple[Difference, ...]:
    """Return what differs between the folder's JSON files and the catalogue, sorted by file name.

    Raises UsageError when there is no such folder.
    """
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder; name the one that holds the exported schemas")
    return tuple(sorted(_differences(folder, export(catalogue)), key=lambda difference: difference.file))


def _differences(folder: Path, expected: Mapping[str, bytes]) -> Iterator[Difference]:
    present = {path.name: path for path in folder.glob("*.json")}
    for name, content in expected.items():
        if name not in present:
            yield Difference(name, "missing")
        elif present[name].read_bytes() != content:
            yield Difference(name, "outdated")
    for name in present.keys() - expected.keys():
        yield Difference(name, "unexpected")


def _file_name(message: type[Message]) -> str:
    return f"{message.declaration.type}.v{message.declaration.version}.json"


def _formatted(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


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
        return {"anyOf": [option | _DECIMAL if option["type"] == "string" else option for option in generated["anyOf"]]}

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
        "schema": _file_name(message),
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
