"""The scanner agrees with a slow reference, written plainly on the standard library, whatever is done to the bytes."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.codec import encode
from interlock.protocol.errors import InvalidMessageError, RejectionCode
from interlock.protocol.examples import example
from interlock.protocol.strict_json import MAX_BYTES, MAX_DEPTH, parse_object

Verdict = tuple[RejectionCode, str] | dict[str, object]

MESSAGES = [
    *(encode(example(message)) for message in CATALOGUE),
    *(path.read_bytes() for path in (Path(__file__).parent.parent / "fixtures" / "messages").rglob("*.json")),
]
TRICKY = st.sampled_from(
    [
        *(
            b'"',
            b"\\",
            b"\\\\",
            b"\\\\\\",
            b"{",
            b"}",
            b"[",
            b"]",
            b",",
            b":",
            b'\\"',
            b'"a":1,',
            b'"a":1,"a":2,',
            b"[[" * 16,
        ),
        *(
            b"\\u0000",
            b"\\\\u0000",
            b"\\ud800",
            b"\\ud83d\\ude00",
            b"\\u0061",
            b"\\udc00",
            b"\\uD8",
            b"\x00",
            b"\n",
            b"\xff",
        ),
        *(b"\xed\xa0\x80", b"\xef\xbb\xbf", b"NaN", b"-Infinity", b"1e999", b"1.5", b"9223372036854775807", b"true"),
        *(
            b"9223372036854775808",
            b"-9223372036854775808",
            b"-9223372036854775809",
            b"0" * 20,
            b"[" * 40,
            b'{"a":' * 40,
        ),
    ]
)


def refused(code: RejectionCode, path: str = "") -> NoReturn:
    raise InvalidMessageError(code, "as the reference says", path=path)


def reference(body: bytes) -> dict[str, object]:
    """Return what `parse_object` promises, byte by byte and character by character."""
    if len(body) > MAX_BYTES:
        refused(RejectionCode.TOO_LARGE)
    depth, in_string, escaped = 0, False, False
    for byte in body:
        if in_string:
            in_string, escaped = escaped or byte != ord('"'), byte == ord("\\") and not escaped
        else:
            in_string = byte == ord('"')
            depth += (byte in b"{[") - (byte in b"}]")
            if depth > MAX_DEPTH and byte in b"{[":
                refused(RejectionCode.TOO_DEEP)
    try:
        text = body.decode()
        value: object = json.loads(
            text, object_pairs_hook=members, parse_int=integer, parse_float=number, parse_constant=constant
        )
    except UnicodeDecodeError:
        refused(RejectionCode.NOT_UTF8)
    except json.JSONDecodeError:
        refused(RejectionCode.NOT_JSON)
    if not isinstance(value, dict):
        refused(RejectionCode.NOT_AN_OBJECT)
    characters = "".join(texts(value))
    if "\0" in characters:
        refused(RejectionCode.NUL_CHARACTER)
    if any("\ud800" <= character <= "\udfff" for character in characters):
        refused(RejectionCode.LONE_SURROGATE)
    return value


def members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    for place, name in enumerate(names):
        if name in names[:place]:
            refused(RejectionCode.DUPLICATE_KEY, "".join(filter(lambda c: c.isascii() and c.isprintable(), name))[:100])
    return dict(pairs)


def integer(digits: str) -> int:
    return int(digits) if -(2**63) <= int(digits) < 2**63 else refused(RejectionCode.NUMBER_OUT_OF_RANGE)


def number(digits: str) -> float:
    return float(digits) if math.isfinite(float(digits)) else refused(RejectionCode.NUMBER_OUT_OF_RANGE)


def constant(_: str) -> NoReturn:
    refused(RejectionCode.NUMBER_OUT_OF_RANGE)


def texts(value: object) -> list[str]:
    match value:
        case str():
            return [value]
        case dict():
            return [text for pair in value.items() for part in pair for text in texts(part)]
        case list():
            return [text for part in value for text in texts(part)]
        case _:
            return []


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Draw a message of which a few places were overwritten, cut out, doubled or filled with something tricky."""
    body = draw(st.sampled_from(MESSAGES))
    for _ in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, len(body)))
        end = min(len(body), start + draw(st.sampled_from([0, 0, 1, 2, 10, 80])))
        filling = draw(TRICKY | st.binary(max_size=4) | st.just(body[start:end] * 2))
        body = body[:start] + filling + body[end:]
    return body


@st.composite
def written(draw: st.DrawFn, deepest: int = 3) -> str:
    """Draw JSON as strange writers might: few names, so that some are doubled, escapes, white space, any number."""
    space = st.sampled_from(["", "", " ", "\n\t"])
    text = st.sampled_from(
        ["a", "b", ":", "a/", r"a\/", r"\u0061", r"\\", r"\"", r"\n", r"\\u0000", r"\u0000", r"\ud800", "é"]
    )
    numbers = st.sampled_from(["0", "-0", "01", "1.50", "1e3", "1e400", "-1E-400", "9" * 18, "9" * 19, str(2**63 - 1)])
    around = draw(space)
    kind = draw(st.sampled_from("{{[s1t" if deepest else "s1t"))
    if kind == "{":
        names = draw(st.lists(text, max_size=4))
        inside = ",".join(f'{around}"{name}"{draw(space)}:{draw(written(deepest - 1))}' for name in names)
        return f"{{{inside}{around}}}"
    if kind == "[":
        return f"[{','.join(draw(st.lists(written(deepest - 1), max_size=3)))}{around}]"
    if kind == "s":
        return f'"{draw(text)}{draw(text)}"'
    return around + draw(numbers if kind == "1" else st.sampled_from(["true", "false", "null", "NaN", "-Infinity"]))


@settings(max_examples=500, deadline=None)
@given(written().map(str.encode))
def test_it_agrees_with_the_reference_about_strange_writers(body: bytes) -> None:
    assert verdict(parse_object, body) == verdict(reference, body)


@pytest.mark.parametrize("message", MESSAGES[:20])
def test_ordinary_messages_are_scanned_once(message: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.protocol.strict_json._DECODER", None)
    assert parse_object(message) == reference(message)


@settings(max_examples=1_500, deadline=None)
@given(mutated() | st.lists(TRICKY, max_size=12).map(b"".join))
def test_it_agrees_with_the_reference_about_verdict_code_and_path(body: bytes) -> None:
    assert verdict(parse_object, body) == verdict(reference, body)


@pytest.mark.parametrize("body", [b'{"a": "' + b"[" * 40 + b"\\", b'{"a": "\\', b'"' * 3 + b"[" * 40, b"[" * 40 + b'"'])
def test_it_agrees_with_the_reference_about_strings_that_do_not_end(body: bytes) -> None:
    assert verdict(parse_object, body) == verdict(reference, body)


def verdict(parse: Callable[[bytes], dict[str, object]], body: bytes) -> Verdict:
    try:
        return parse(body)
    except InvalidMessageError as error:
        return error.code, error.path
