"""JSON with hard limits: what passes is one object that every JSON reader understands alike; it knows no messages."""

from __future__ import annotations

__all__ = ["MAX_BYTES", "MAX_DEPTH", "parse_object"]

import json
import math
import re
from collections.abc import Iterable
from typing import Any, NoReturn

from pydantic_core import from_json

from interlock.protocol.errors import InvalidMessageError, RejectionCode

MAX_BYTES = 1_048_576
"""The largest body, in bytes; far below RabbitMQ's own limit of 16 MiB."""

MAX_DEPTH = 32
"""The deepest nesting of objects and arrays."""

_MAX_INTEGER_DIGITS = 19
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_NUL_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_NESTING = re.compile(rb'[{\[]|[}\]]|"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""What opens, what closes, and strings in which neither counts; one that does not end takes the rest."""


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the body's one JSON object.

    Raises InvalidMessageError with the code of the first limit that is broken: size, UTF-8, byte order mark, nesting,
    duplicate keys, NaN and infinities, integers beyond 64 bits, lone surrogates, NUL characters.
    """
    if len(body) > MAX_BYTES:
        raise InvalidMessageError(RejectionCode.TOO_LARGE, f"{len(body)} bytes, at most {MAX_BYTES} are accepted")
    if _deeper_than_allowed(body):
        raise InvalidMessageError(RejectionCode.TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels")
    members = _plain_object(body)
    return _examined_object(body) if members is None else members


def _plain_object(body: bytes) -> dict[str, Any] | None:
    """Return the object in a body that keeps the limits, or None where that takes a closer look.

    It takes three fifths of the time of looking closely. The scanner is pydantic's own, which drops doubled keys: then
    there are fewer strings in what it returns than were quoted in the body.
    """
    if b"\\" in body:
        bare = body.replace(rb"\\", b"")
        if rb"\u" in bare:
            return None
        quotes = bare.count(b'"') - bare.count(rb"\"")
    else:
        quotes = body.count(b'"')
    try:
        value: object = from_json(body, allow_inf_nan=False, cache_strings="keys")
        if type(value) is dict and (len(value) + _strings_in(value.values())) * 2 == quotes:
            return value
    except ValueError:
        pass  # whoever looks closely says what is wrong, and where
    return None


def _strings_in(values: Iterable[Any]) -> int:
    """Return how many strings are in there, keys included. Raises ValueError for a number that is out of range."""
    count = 0
    for value in values:
        kind = type(value)
        if kind is str:
            count += 1
        elif kind is dict:
            count += len(value) + _strings_in(value.values())
        elif kind is list:
            count += _strings_in(value)
        elif (kind is int and not _SMALLEST <= value <= _LARGEST) or (kind is float and math.isinf(value)):
            raise ValueError("a number is out of range")
    return count


def _examined_object(body: bytes) -> dict[str, Any]:
    """Return the object, or say by which code it is refused."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidMessageError(RejectionCode.NOT_UTF8, f"byte {error.start} is not UTF-8") from error
    if text.startswith("\ufeff"):
        raise InvalidMessageError(RejectionCode.NOT_JSON, "a byte order mark is not allowed")
    try:
        value: object = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        reason = f"not JSON at line {error.lineno}, column {error.colno}"
        raise InvalidMessageError(RejectionCode.NOT_JSON, reason) from error
    if not isinstance(value, dict):
        raise InvalidMessageError(RejectionCode.NOT_AN_OBJECT, "the message must be a JSON object")
    if b"\\" in body:  # else no escape can hide anything: two searches over ordinary bodies were half of the cost
        if b"\\u0000" in body and _NUL_ESCAPE.search(body):
            raise InvalidMessageError(RejectionCode.NUL_CHARACTER, "NUL characters are not allowed")
        if _SURROGATE_ESCAPE.search(body):
            _refuse_lone_surrogates(value)
    return value


def _deeper_than_allowed(body: bytes) -> bool:
    if body.count(b"{") + body.count(b"[") <= MAX_DEPTH:
        return False
    depth = 0
    for part in _NESTING.finditer(body):
        first = body[part.start()]
        if first in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first in b"}]":
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
    if len(digits) < _MAX_INTEGER_DIGITS:
        return int(digits)
    if len(digits.lstrip("-")) > _MAX_INTEGER_DIGITS or not _SMALLEST <= int(digits) <= _LARGEST:
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
"""Built once: `json.loads` with hooks builds one per call."""


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
