"""An example of each message: as its class declares it, else made from its fields; it reads no recordings.

What a field is like is said where it is declared, by `Field(examples=[...])`; its limits and its name do for the rest.
"""

from __future__ import annotations

__all__ = ["example"]

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic_core import to_json

from interlock.protocol.catalogue import Catalogue
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError, UsageError
from interlock.protocol.ids import conversation_of, derived_id
from interlock.protocol.message import ALL, ANY, Message, Reply
from interlock.protocol.schemas import DECIMAL, schema_of
from interlock.protocol.shapes import EXAMPLES, IDENTIFIER

Schema = Mapping[str, Any]

_AT = datetime(2026, 1, 31, 9, tzinfo=UTC)
_ANYBODY = "qa-agent"
_PATTERNS = {**EXAMPLES, DECIMAL: "54.75"}


def example(message: type[Message]) -> Envelope[Message]:
    """Return one message of this class, the same at every call, and proven to be accepted by the decoder.

    Raises UsageError, with the path, when what is declared or made is no such message.
    """
    declared = message.declaration
    schema = schema_of(message)
    definitions: Schema = schema.get("$defs", {})
    made = declared.example or _value(schema["properties"]["payload"], definitions, "")
    body = to_json(_envelope(message, {} if made is None else made))
    try:
        return decode(body, catalogue=Catalogue((message,)), upcast=False)
    except InvalidMessageError as error:
        raise UsageError(
            f"the example of {declared.type} version {declared.version} is no such message: {error}; give the class a "
            "whole one by example={…}, or the field by Field(examples=[…])"
        ) from error


def _envelope(message: type[Message], payload: Mapping[str, Any]) -> Mapping[str, Any]:
    declared = message.declaration
    issue: object = payload.get("jiraIssue")
    conversation = conversation_of(issue if isinstance(issue, str) else "PROJ-140")
    request = derived_id("example", conversation, "request")
    sender = min(declared.route.senders - {ANY}, default=_ANYBODY)
    receiver = min(
        declared.route.receivers - {ANY, ALL}, default=ALL if ALL in declared.route.receivers else "coordinator"
    )
    members: dict[str, Any] = {
        "from": sender,
        "to": receiver,
        "type": declared.type,
        "payload": payload,
        "id": derived_id("example", conversation, declared.type) if issubclass(message, Reply) else request,
        "version": declared.version,
        "sentAt": _moment(_AT),
        "conversationId": conversation,
    }
    if issubclass(message, Reply):
        members["causationId"] = request
    if declared.deadline is not None:
        members["deadline"] = _moment(_AT + timedelta(seconds=declared.deadline))
    return members


def _moment(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _value(schema: Schema, definitions: Schema, name: str) -> Any:
    """Return a value that a schema accepts, as far as a schema can tell."""
    match schema:
        case {"examples": [first, *_]}:
            return json.loads(to_json(first))
        case {"$ref": str(reference)}:
            return _value(definitions[reference.rpartition("/")[2]], definitions, name)
        case {"const": value}:
            return value
        case {"enum": [first, *_]}:
            return first
        case {"anyOf": list(options)}:
            texts = [option for option in options if option.get("type") == "string"]
            return _value((texts or options)[0], definitions, name)
        case {"type": "array", "prefixItems": list(items)}:
            return [_value(item, definitions, name) for item in items]
        case {"type": "array"}:
            count = max(schema.get("minItems", 0), min(1, schema.get("maxItems", 1)))
            return [_value(schema.get("items", {}), definitions, name)] * count
        case {"type": "object"}:
            return _members(schema, definitions)
        case {"type": "boolean"}:
            return True
        case {"type": "integer" | "number"}:
            return max(schema.get("minimum", 1), min(1, schema.get("maximum", 1)))
        case {"type": "string"}:
            return _text(schema, name)
        case _:
            return None


def _members(schema: Schema, definitions: Schema) -> Mapping[str, Any]:
    if isinstance(named := schema.get("additionalProperties"), dict):
        return {_text(schema.get("propertyNames", {}), "name"): _value(named, definitions, "value")}
    required = schema.get("required", ())
    members = schema.get("properties", {})
    return {name: _value(members[name], definitions, name) for name in members if name in required}


def _text(schema: Schema, name: str) -> str:
    if schema.get("format") == "date-time":
        return _moment(_AT)
    if schema.get("pattern") == IDENTIFIER:
        return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)
    if "pattern" in schema:
        return _PATTERNS.get(schema["pattern"], "")
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name)
    return words[: schema.get("maxLength", len(words))].ljust(schema.get("minLength", 0), ".")
