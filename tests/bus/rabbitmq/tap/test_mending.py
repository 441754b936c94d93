"""Whatever stands in a header, the client library can decode it afterwards, and what was readable is as it was."""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, encode, header
from pamqp.common import FieldTable

from interlock.bus.rabbitmq.tap import frames
from interlock.bus.rabbitmq.tap.mending import mended

DEEP = 3000
TEXTS = {
    "content_type": frames.CONTENT_TYPE,
    "content_encoding": frames.CONTENT_ENCODING,
    "correlation_id": frames.CORRELATION_ID,
    "reply_to": frames.REPLY_TO,
    "expiration": frames.EXPIRATION,
    "message_id": frames.MESSAGE_ID,
    "message_type": frames.TYPE,
    "user_id": frames.USER_ID,
    "app_id": frames.APP_ID,
}
NO_UTF8 = b"\xff\xfe"
PARKED: FieldTable = {"x-death": [{"reason": "rejected", "routing-keys": ["a.b"], "count": 1}], "x-delivery-count": 2}


def decoded(content_header: bytes) -> commands.Basic.Properties:
    found = header.ContentHeader()
    found.unmarshal(content_header)
    assert found.properties is not None
    return found.properties


def entry(name: bytes, value: bytes) -> bytes:
    return bytes((len(name),)) + name + value


def deep_table() -> bytes:
    """Return a value: a table in a table in a table…"""
    value = b"V"
    for _ in range(DEEP):
        inner = entry(b"t", value)
        value = b"F" + len(inner).to_bytes(4, "big") + inner
    return value


texts = st.none() | st.text(max_size=20) | st.text(max_size=20).map(lambda text: text + "\udcff")


@given(
    st.fixed_dictionaries(dict.fromkeys(TEXTS, texts)),
    st.none() | st.integers(0, 2**64 - 1),
    st.lists(st.sampled_from([b"T\x7f" + b"\xff" * 7, b"S\x00\x00\x00\x01x", b"V", deep_table()]), max_size=3),
    st.booleans(),
)
def test_any_header_is_decodable_and_the_readable_is_kept(
    given_texts: dict[str, str | None], timestamp: int | None, values: list[bytes], names_are_text: bool
) -> None:
    table = encode.field_table(PARKED)[4:]
    for number, value in enumerate(values):
        table += entry(b"x%d" % number if names_are_text else b"x%d" % number + NO_UTF8, value)
    flags, parts = frames.HEADERS | frames.PRIORITY, dict[int, bytes]()
    parts[frames.HEADERS] = len(table).to_bytes(4, "big") + table
    parts[frames.PRIORITY] = b"\x03"
    if timestamp is not None:
        parts[frames.TIMESTAMP] = struct.pack(">Q", timestamp)
    for name, text in given_texts.items():
        if text is not None:
            raw = text.encode(errors="surrogateescape")
            parts[TEXTS[name]] = entry(raw, b"")
    for flag in parts:
        flags |= flag
    written = struct.pack(">HHQH", 60, 0, 7, flags) + b"".join(parts[flag] for flag in sorted(parts, reverse=True))

    found = decoded(mended(written))

    assert found.headers is not None
    assert {name: found.headers[name] for name in PARKED} == PARKED
    assert found.priority == 3
    for name, text in given_texts.items():
        seen = getattr(found, name)
        assert (seen is None) is (text is None)
        if text is not None and text.isascii():
            assert seen == text


def test_what_can_be_decoded_is_handed_on_as_it_is() -> None:
    properties: dict[str, Any] = {
        "content_type": "text/\u2603",
        "headers": {"deep": {"list": [1, "two", None]}, **PARKED},
        "timestamp": datetime(2026, 1, 1, tzinfo=UTC),
        "user_id": "alpha-agent",
    }
    written = header.ContentHeader(0, 3, commands.Basic.Properties(**properties)).marshal()
    assert mended(written) is written


@pytest.mark.parametrize("size", [0, 1, 255])
def test_a_text_never_grows(size: int) -> None:
    written = struct.pack(">HHQH", 60, 0, 0, frames.CONTENT_TYPE) + entry(b"\xff" * size, b"")
    assert decoded(mended(written)).content_type == "?" * size


@pytest.mark.parametrize("more", [0b01, 0b10, 0b11])
def test_flags_that_go_on_without_any_more_are_left_out(more: int) -> None:
    flags = frames.CONTENT_TYPE | frames.USER_ID
    written = struct.pack(">HHQH", 60, 0, 7, flags | more) + entry(b"text", b"") + entry(b"alpha-agent", b"")
    found = decoded(mended(written))
    assert (found.content_type, found.user_id) == ("text", "alpha-agent")
