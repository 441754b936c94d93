"""Between envelopes and bytes: a strict sender and a tolerant receiver with hard limits; it does no I/O.

Unknown members are dropped and never acted on. Numbers, booleans and strings are never taken for one another.
"""

from __future__ import annotations

__all__ = ["CONTENT_TYPE", "decode", "decode_bare", "encode"]

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from interlock.protocol.catalogue import CATALOGUE, Catalogue, Reading
from interlock.protocol.envelope import MAX_HOPS, Envelope
from interlock.protocol.errors import InvalidMessageError, RejectionCode
from interlock.protocol.ids import conversation_of, new_id
from interlock.protocol.message import Message
from interlock.protocol.shapes import MEANINGS
from interlock.protocol.strict_json import MAX_BYTES, parse_object

CONTENT_TYPE = "application/json"

_NAME = re.compile(r"[A-Za-z0-9._/\[\]-]{1,100}")


@lru_cache(maxsize=1)
def _envelopes() -> TypeAdapter[Envelope[Any]]:
    """Return what writes bytes, where `model_dump_json` makes a string first; built when it is first used."""
    return TypeAdapter(Envelope)


def encode(envelope: Envelope[Any]) -> bytes:
    """Return the envelope as UTF-8 JSON; absent optional members are left out.

    Raises InvalidMessageError when it is larger than a receiver would accept.
    """
    body = _envelopes().dump_json(envelope, by_alias=True, exclude_none=True)
    if len(body) > MAX_BYTES:
        raise InvalidMessageError(
            RejectionCode.TOO_LARGE,
            f"{envelope.type} {envelope.id} has {len(body)} bytes, at most {MAX_BYTES} are accepted; "
            "put the content elsewhere and send its address",
        )
    return body


def decode(body: bytes, *, catalogue: Catalogue = CATALOGUE, upcast: bool = True) -> Envelope[Message]:
    """Return the envelope in these bytes, with all its metadata.

    A payload of an older version is read as the newest one that the catalogue's upcasts lead to; the envelope's version
    is that of the payload that is returned. With `upcast=False`, for tools that show or pass on what was written, that
    is done only where the catalogue no longer has the older version.

    Raises InvalidMessageError, with the path of the member that is wrong.
    """
    return _validated(parse_object(body), body, catalogue, upcast=upcast)


def decode_bare(body: bytes, *, now: datetime, catalogue: Catalogue = CATALOGUE) -> Envelope[Message]:
    """Return the envelope in these bytes, completing what the specification's four-field form lacks.

    For the edge only: command line, replay and HTTP. The id is new; the conversation is that of the payload's Jira
    issue when it names one, else it begins one of its own. The payload stays in the version that it was written in, as
    with `decode(…, upcast=False)`.
    """
    members = parse_object(body)
    message_id = members.setdefault("id", new_id())
    members.setdefault("version", 1)
    members.setdefault("sentAt", now.isoformat())
    if "conversationId" not in members:
        payload = members.get("payload")
        issue: object = payload.get("jiraIssue") if isinstance(payload, dict) else None
        members["conversationId"] = conversation_of(issue) if isinstance(issue, str) else message_id
    return _validated(members, to_json(members), catalogue, upcast=False)


def _validated(members: dict[str, Any], body: bytes, catalogue: Catalogue, *, upcast: bool) -> Envelope[Message]:
    name, version, hops = members.get("type"), members.get("version"), members.get("hops", 0)
    if type(name) is not str:
        raise InvalidMessageError(RejectionCode.INVALID_FIELD, "a string is required", path="type")
    if type(version) is not int:
        raise InvalidMessageError(RejectionCode.INVALID_FIELD, "an integer is required", path="version")
    if type(hops) is int and hops > MAX_HOPS:
        raise InvalidMessageError(RejectionCode.TOO_MANY_HOPS, f"more than {MAX_HOPS} messages in a row", path="hops")
    reading = catalogue.reading(name, version)
    if reading.written is not None:
        envelope = _envelope(reading.written, body)  # also before an upcast: its author counts on the older limits
        if not reading.upcasts or not upcast:
            return envelope
    return _upcasted(members, version, reading)


def _upcasted(members: dict[str, Any], version: int, reading: Reading) -> Envelope[Message]:
    newest = reading.read.declaration.version
    payload: object = members.get("payload")
    if not isinstance(payload, dict):
        raise InvalidMessageError(RejectionCode.INVALID_FIELD, "an object is required", path="payload")
    for upcast in reading.upcasts:
        version += 1
        try:
            payload = upcast(payload)
        except Exception as error:  # its author's code on a stranger's data: whatever it raises, the data is refused
            reason = f"cannot be read as version {version}: its upcast failed with {type(error).__name__}"
            raise InvalidMessageError(RejectionCode.INVALID_FIELD, reason, path="payload") from error
    try:
        return _envelope(reading.read, to_json(members | {"version": newest, "payload": payload}))
    except InvalidMessageError as error:
        reason = f"{error.reason} (read as version {newest})"
        raise InvalidMessageError(error.code, reason, path=error.path) from None


def _envelope(payload: type[Message], body: bytes) -> Envelope[Message]:
    try:
        return _reader_of(payload)(body, strict=True, extra="ignore", by_alias=True, by_name=False)
    except ValidationError as error:
        raise _first_problem(error) from None  # the cause would carry the payload's values


@lru_cache(maxsize=1024)
def _reader_of(payload: type[Message]) -> Callable[..., Envelope[Message]]:
    """Return what validates envelopes with this payload; `model_validate_json` would only pass on to it."""
    model = Envelope[payload]  # type: ignore[valid-type]
    model.model_rebuild()
    return model.__pydantic_validator__.validate_json


def _first_problem(error: ValidationError) -> InvalidMessageError:
    first = error.errors(include_url=False, include_input=False)[0]
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{_harmless(part)}" for part in first["loc"]).lstrip(".")
    more = error.error_count() - 1
    reason = first["msg"].removeprefix("Value error, ")
    meaning = MEANINGS.get(first.get("ctx", {}).get("pattern", ""))
    if meaning is not None:
        reason = f"must be {meaning}"
    if more:
        reason += f" (and {more} more)"
    return InvalidMessageError(RejectionCode.INVALID_FIELD, reason, path=path)


def _harmless(name: str) -> str:
    """Keys of mappings are the sender's text as well: only what looks like a name is repeated."""
    return name if _NAME.fullmatch(name) else "?"
