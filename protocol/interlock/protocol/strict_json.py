"""JSON with hard limits: what passes is one object that every JSON reader understands alike."""

from __future__ import annotations

__all__ = ["MAX_BYTES", "MAX_DEPTH", "parse_object"]

import json
import math
import re
from typing import Any, NoReturn

from interlock.protocol.errors import InvalidMessageError, RejectionCode

MAX_BYTES = 1_048_576
"""The largest body, in bytes; far below RabbitMQ's own limit of 16 MiB."""

MAX_DEPTH = 32
"""The deepest nesting of objects and arrays."""

_MAX_INTEGER_DIGITS = 19
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_NUL_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the body's one JSON object.

    Raises InvalidMessageError with the code of the first limit that is broken: size, UTF-8, byte order mark, nesting,
    duplicate keys, NaN and infinities, integers beyond 64 bits, lone surrogates, NUL characters.
    """
    if len(body) > MAX_BYTES:
        raise InvalidMessageError(RejectionCode.TOO_LARGE, f"{len(body)} bytes, at most {MAX_BYTES} are accepted")
    if _deeper_than_allowed(body):
        raise InvalidMessageError(RejectionCode.TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidMessageError(RejectionCode.NOT_UTF8, f"byte {error.start} is not UTF-8") from error
    if text.startswith("\ufeff"):
        raise InvalidMessageError(RejectionCode.NOT_JSON, "a byte order mark is not allowed")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        reason = f"not JSON at line {error.lineno}, column {error.colno}"
        raise InvalidMessageError(RejectionCode.NOT_JSON, reason) from error
    if not isinstance(value, dict):
        raise InvalidMessageError(RejectionCode.NOT_AN_OBJECT, "the message must be a JSON object")
    if b"\\u" in body:  # which our own encoder hardly ever writes
        if _NUL_ESCAPE.search(body):
            raise InvalidMessageError(RejectionCode.NUL_CHARACTER, "NUL characters are not allowed")
        if _SURROGATE_ESCAPE.search(body):
            _refuse_lone_surrogates(value)
    return value


def _deeper_than_allowed(body: bytes) -> bool:
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return False
    depth, in_string, escaped = 0, False, False
    for byte in body:
        if in_string:
            in_string = escaped or byte != 0x22
            escaped = byte == 0x5C and not escaped
        elif byte == 0x22:
            in_string = True
        elif byte in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif byte in b"}]":
            depth -= 1
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidMessageError(RejectionCode.DUPLICATE_KEY, "the key stands twice", path=_printable(_double(pairs)))
    return members


def _double(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            return name
        seen.add(name)
    return ""


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _MAX_INTEGER_DIGITS or not -(2**63) <= int(digits) < 2**63:
        raise InvalidMessageError(RejectionCode.NUMBER_OUT_OF_RANGE, "an integer does not fit into 64 bits")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise InvalidMessageError(RejectionCode.NUMBER_OUT_OF_RANGE, "a number does not fit into a double")
    return value


def _constant(name: str) -> NoReturn:
    raise InvalidMessageError(RejectionCode.NUMBER_OUT_OF_RANGE, f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
)


def _refuse_lone_surrogates(value: object) -> None:
    match value:
        case str():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError as error:
                raise InvalidMessageError(RejectionCode.LONE_SURROGATE, "half a character is not allowed") from error
        case dict():
            for name, member in value.items():
                _refuse_lone_surrogates(name)
                _refuse_lone_surrogates(member)
        case list():
            for member in value:
                _refuse_lone_surrogates(member)
        case _:
            pass


def _printable(name: str) -> str:
    return "".join(character for character in name if character.isascii() and character.isprintable())[:100]
