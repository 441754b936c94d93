"""Every kind of bad bytes and bad JSON, by name: a typed rejection that says where, and never what was sent."""

from __future__ import annotations

import json
import pickle
from typing import Any

import pytest

from interlock.protocol import InvalidMessageError, RejectionCode, decode, encode
from interlock.protocol.strict_json import MAX_BYTES, MAX_DEPTH, parse_object

ID = "0199a000-0000-7000-8000-000000000000"


def document(**members: object) -> dict[str, Any]:
    """Return a correct message with some members replaced; `from_` stands for `from`."""
    correct = {
        "from": "qa-agent",
        "to": "devops-agent",
        "type": "task_failed",
        "payload": {"code": "timeout", "reason": "no answer"},
        "id": ID,
        "version": 1,
        "sentAt": "2026-01-31T09:00:00Z",
        "conversationId": ID,
    }
    return correct | {name.rstrip("_"): value for name, value in members.items()}


def refused(body: bytes | dict[str, Any]) -> InvalidMessageError:
    with pytest.raises(InvalidMessageError) as caught:
        decode(body if isinstance(body, bytes) else json.dumps(body).encode())
    text = str(caught.value)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 400
    return caught.value


def raw(member: str) -> bytes:
    """Return a correct message whose payload has one more member, as written here."""
    return json.dumps(document()).encode().replace(b'"code"', member.encode() + b', "code"')


def test_the_correct_message_of_this_module_is_accepted() -> None:
    assert decode(raw('"note": 1')) == decode(json.dumps(document()).encode())


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"", RejectionCode.NOT_JSON, id="an empty body"),
        pytest.param(b"   ", RejectionCode.NOT_JSON, id="only white space"),
        pytest.param(b"{}x", RejectionCode.NOT_JSON, id="something after the object"),
        pytest.param(b"{}{}", RejectionCode.NOT_JSON, id="two objects"),
        pytest.param(b"{'from': 1}", RejectionCode.NOT_JSON, id="single quotes"),
        pytest.param(b'{"from": 1,}', RejectionCode.NOT_JSON, id="a trailing comma"),
        pytest.param(b'{"port": 0123}', RejectionCode.NOT_JSON, id="an octal number"),
        pytest.param(b'{"port": 0x7f}', RejectionCode.NOT_JSON, id="a hexadecimal number"),
        pytest.param(b'{"text": "a\nb"}', RejectionCode.NOT_JSON, id="a raw line break in a string"),
        pytest.param(b'{"text": "\\x41"}', RejectionCode.NOT_JSON, id="an unknown escape"),
        pytest.param(b"<message/>", RejectionCode.NOT_JSON, id="XML"),
        pytest.param(pickle.dumps({"from": "qa-agent"}), RejectionCode.NOT_UTF8, id="a pickle"),
        pytest.param(b"\x1f\x8b\x08\x00", RejectionCode.NOT_UTF8, id="gzip"),
        pytest.param(b"\xef\xbb\xbf{}", RejectionCode.NOT_JSON, id="a byte order mark"),
        pytest.param("{}".encode("utf-16"), RejectionCode.NOT_UTF8, id="UTF-16 with its mark"),
        pytest.param("{}".encode("utf-16-le"), RejectionCode.NOT_JSON, id="UTF-16 without a mark"),
        pytest.param(b'{"from": "\xff"}', RejectionCode.NOT_UTF8, id="invalid UTF-8"),
        pytest.param(b'{"from": "\xc0\xaf"}', RejectionCode.NOT_UTF8, id="overlong UTF-8"),
        pytest.param(b'{"from": "\xed\xa0\x80"}', RejectionCode.NOT_UTF8, id="a surrogate in UTF-8"),
        pytest.param(b"null", RejectionCode.NOT_AN_OBJECT, id="null"),
        pytest.param(b'"text"', RejectionCode.NOT_AN_OBJECT, id="a string"),
        pytest.param(b"[]", RejectionCode.NOT_AN_OBJECT, id="a list"),
        pytest.param(b"1", RejectionCode.NOT_AN_OBJECT, id="a number"),
        pytest.param(b"[" * 100_000, RejectionCode.TOO_DEEP, id="100,000 nested lists"),
        pytest.param(b'{"a":' * 100_000, RejectionCode.TOO_DEEP, id="100,000 nested objects"),
        pytest.param(b"[" * 100_000 + b"]" * 100_000, RejectionCode.TOO_DEEP, id="100,000 nested lists, closed"),
        pytest.param(b'{"a":"' + b"x" * MAX_BYTES + b'"}', RejectionCode.TOO_LARGE, id="beyond the size limit"),
        pytest.param(b" " * (MAX_BYTES - 1) + b"{}", RejectionCode.TOO_LARGE, id="one byte beyond the size limit"),
    ],
)
def test_bytes_that_are_no_message(body: bytes, code: RejectionCode) -> None:
    assert refused(body).code is code


@pytest.mark.parametrize(
    ("member", "code"),
    [
        pytest.param('"a": NaN', RejectionCode.NUMBER_OUT_OF_RANGE, id="NaN"),
        pytest.param('"a": Infinity', RejectionCode.NUMBER_OUT_OF_RANGE, id="Infinity"),
        pytest.param('"a": -Infinity', RejectionCode.NUMBER_OUT_OF_RANGE, id="minus Infinity"),
        pytest.param('"a": 1e999', RejectionCode.NUMBER_OUT_OF_RANGE, id="1e999"),
        pytest.param('"a": -1e999', RejectionCode.NUMBER_OUT_OF_RANGE, id="-1e999"),
        pytest.param('"a": ' + "9" * 4000, RejectionCode.NUMBER_OUT_OF_RANGE, id="a 4,000-digit integer"),
        pytest.param('"a": -' + "9" * 4000, RejectionCode.NUMBER_OUT_OF_RANGE, id="a negative 4,000-digit integer"),
        pytest.param('"a": ' + "9" * 4000 + ".5", RejectionCode.NUMBER_OUT_OF_RANGE, id="a 4,000-digit fraction"),
        pytest.param('"a": 9223372036854775808', RejectionCode.NUMBER_OUT_OF_RANGE, id="2 to the 63rd"),
        pytest.param('"a": "\\ud800"', RejectionCode.LONE_SURROGATE, id="a lone high surrogate"),
        pytest.param('"a": "\\uDfff"', RejectionCode.LONE_SURROGATE, id="a lone low surrogate"),
        pytest.param('"a": "\\udc00\\ud800"', RejectionCode.LONE_SURROGATE, id="surrogates the wrong way round"),
        pytest.param('"a": [["\\ud800"]]', RejectionCode.LONE_SURROGATE, id="a lone surrogate in a list"),
        pytest.param('"\\ud800": 1', RejectionCode.LONE_SURROGATE, id="a lone surrogate in a key"),
        pytest.param('"a": "\\u0000"', RejectionCode.NUL_CHARACTER, id="NUL"),
        pytest.param('"a": "\\\\\\u0000"', RejectionCode.NUL_CHARACTER, id="NUL after an escaped backslash"),
        pytest.param('"\\u0000": 1', RejectionCode.NUL_CHARACTER, id="NUL in a key"),
        pytest.param('"a": "\x00"', RejectionCode.NOT_JSON, id="a raw NUL"),
        pytest.param('"a": 1, "a": 1', RejectionCode.DUPLICATE_KEY, id="a key twice"),
        pytest.param('"a": 1, "\\u0061": 2', RejectionCode.DUPLICATE_KEY, id="a key twice, once escaped"),
        pytest.param('"a": {"b": [{"c": 1, "c": 2}]}', RejectionCode.DUPLICATE_KEY, id="a key twice, deep inside"),
    ],
)
def test_json_that_readers_disagree_about_is_refused_even_in_a_member_that_nobody_reads(
    member: str, code: RejectionCode
) -> None:
    assert refused(raw(member)).code is code


def test_a_doubled_top_level_member_is_refused_and_named() -> None:
    error = refused(json.dumps(document()).encode().replace(b'"to"', b'"from": "qa-agent", "to"'))

    assert (error.code, error.path) == (RejectionCode.DUPLICATE_KEY, "from")


def test_the_name_of_a_doubled_key_cannot_carry_terminal_escapes() -> None:
    refused(b'{"\\u001b[31m\\u202e": 1, "\\u001b[31m\\u202e": 2}')


@pytest.mark.parametrize("member", ['"a": "\\\\u0000"', '"a": "\\\\ud800"', '"a": "\\ud83d\\udea6"', '"a": "}]{["'])
def test_what_only_looks_like_a_forbidden_character_is_accepted(member: str) -> None:
    decode(raw(member))


def test_the_deepest_allowed_nesting_is_accepted_and_one_more_is_not() -> None:
    parse_object(b'{"a":' + b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1) + b"}")

    with pytest.raises(InvalidMessageError) as caught:
        parse_object(b'{"a":' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}")

    assert caught.value.code is RejectionCode.TOO_DEEP


def test_brackets_in_strings_and_side_by_side_are_no_nesting() -> None:
    body = json.dumps({"a": ['[{"\\' * 50, *([[]] * 100)]}).encode()

    assert parse_object(body) == json.loads(body)


@pytest.mark.parametrize(
    ("members", "path"),
    [
        pytest.param({"version": "1"}, "version", id="a version as text"),
        pytest.param({"version": True}, "version", id="true as version"),
        pytest.param({"version": 1.0}, "version", id="1.0 as version"),
        pytest.param({"version": None}, "version", id="null as version"),
        pytest.param({"hops": True}, "hops", id="true as hops"),
        pytest.param({"hops": 1.0}, "hops", id="1.0 as hops"),
        pytest.param({"hops": -1}, "hops", id="negative hops"),
        pytest.param({"type": None}, "type", id="null as type"),
        pytest.param({"type": ["task_failed"]}, "type", id="a list as type"),
        pytest.param({"payload": None}, "payload", id="null as payload"),
        pytest.param({"payload": []}, "payload", id="a list as payload"),
        pytest.param({"payload": "{}"}, "payload", id="text as payload"),
        pytest.param({"payload": {"code": 1, "reason": "x"}}, "payload.code", id="a number as text"),
        pytest.param({"payload": {"code": "x", "reason": "x", "retryable": 1}}, "payload.retryable", id="1 as boolean"),
        pytest.param(
            {"payload": {"code": "x", "reason": "x", "retryable": "yes"}}, "payload.retryable", id="yes as boolean"
        ),
        pytest.param({"id": ""}, "id", id="an empty id"),
        pytest.param({"id": "0" * 1_000_000}, "id", id="an id of 1 MB"),
        pytest.param({"id": ID.upper()}, "id", id="an id in capitals"),
        pytest.param({"id": "{" + ID + "}"}, "id", id="an id in braces"),
        pytest.param({"id": "urn:uuid:" + ID}, "id", id="an id as URN"),
        pytest.param({"id": ID.replace("-", "")}, "id", id="an id without hyphens"),
        pytest.param({"id": ID + "\n"}, "id", id="an id with a line break"),
        pytest.param({"conversationId": "PROJ-140"}, "conversationId", id="an issue key as conversation"),
        pytest.param({"causationId": ""}, "causationId", id="an empty causation"),
        pytest.param({"traceparent": "00-zz-00-00"}, "traceparent", id="a traceparent that is none"),
        pytest.param({"sentAt": "0000-01-01T00:00:00Z"}, "sentAt", id="year 0"),
        pytest.param({"sentAt": "0001-01-01T00:00:00+23:00"}, "sentAt", id="year 1, before it in UTC"),
        pytest.param({"sentAt": "9999-12-31T23:59:59Z"}, "sentAt", id="year 9999"),
        pytest.param({"sentAt": "9999-12-31T23:59:59-23:00"}, "sentAt", id="year 9999, after it in UTC"),
        pytest.param({"deadline": "2200-01-01T00:00:00Z"}, "deadline", id="a deadline in the far future"),
        pytest.param({"sentAt": "2199-12-31T23:59:59-01:00"}, "sentAt", id="too late in UTC only"),
        pytest.param({"sentAt": "2026-01-31T09:00:00"}, "sentAt", id="no zone"),
        pytest.param({"sentAt": "2026-01-31"}, "sentAt", id="only a date"),
        pytest.param({"sentAt": "2026-02-30T09:00:00Z"}, "sentAt", id="30 February"),
        pytest.param({"sentAt": "2026-01-31T25:00:00Z"}, "sentAt", id="hour 25"),
        pytest.param({"sentAt": "1769850000"}, "sentAt", id="seconds as text"),
        pytest.param({"sentAt": 1769850000}, "sentAt", id="seconds as a number"),
        pytest.param({"sentAt": "２０２６-01-31T09:00:00Z"}, "sentAt", id="full-width digits"),
    ],
)
def test_members_of_the_wrong_kind_or_beyond_their_limits(members: dict[str, object], path: str) -> None:
    error = refused(document(**members))

    assert (error.code, error.path) == (RejectionCode.INVALID_FIELD, path)


@pytest.mark.parametrize("member", ["from_", "to"])
@pytest.mark.parametrize(
    "address",
    [
        pytest.param("", id="empty"),
        pytest.param("#", id="a wildcard for everything"),
        pytest.param("*", id="a wildcard for one word"),
        pytest.param("devops-agent.task_failed", id="a dot"),
        pytest.param("devops-agent\r\n", id="CR and LF"),
        pytest.param("devops-agent\n", id="LF at the end"),
        pytest.param("devops agent", id="a space"),
        pytest.param("Devops-agent", id="a capital"),
        pytest.param("d\u0435vops-agent", id="a Cyrillic letter"),
        pytest.param("devops\u200b-agent", id="a zero-width space"),
        pytest.param("\u202etnega-spoved", id="a bidirectional override"),
        pytest.param("ｄevops-agent", id="a full-width letter"),
        pytest.param("devops-agent\ufe0f", id="a variation selector"),
        pytest.param("devops--agent", id="two hyphens"),
        pytest.param("-devops", id="an option"),
        pytest.param("d" * 64, id="64 letters"),
        pytest.param("d" * 100_000, id="100,000 letters"),
        pytest.param("../devops-agent", id="a path"),
    ],
)
def test_addresses_that_a_broker_or_a_reader_could_misunderstand(member: str, address: str) -> None:
    error = refused(document(**{member: address}))

    assert (error.code, error.path) == (RejectionCode.INVALID_FIELD, member.rstrip("_"))


@pytest.mark.parametrize(
    "character",
    "\u001b\u0007\u007f\u009b\u00ad\u061c\u200b\u200d\u200f\u2028\u2029\u202a\u202e\u2060\u2066\u2069\ufeff\ufff9\uffff\U000e0041",
    ids=ascii,
)
def test_text_for_people_has_no_control_zero_width_or_bidirectional_characters(character: str) -> None:
    error = refused(document(payload={"code": "timeout", "reason": f"no{character}answer"}))

    assert error.path == "payload.reason"


def test_an_unknown_type_is_refused() -> None:
    assert refused(document(type="task_fail")).code is RejectionCode.UNKNOWN_TYPE
    assert refused(document(type="x" * 100_000)).code is RejectionCode.UNKNOWN_TYPE


@pytest.mark.parametrize("version", [0, -1, 2, 2**62])
def test_an_unknown_version_of_a_known_type_is_refused(version: int) -> None:
    assert refused(document(version=version)).code is RejectionCode.UNKNOWN_VERSION


def test_a_conversation_that_runs_in_circles_is_refused() -> None:
    assert refused(document(hops=33)).code is RejectionCode.TOO_MANY_HOPS


def test_additional_members_are_dropped_and_never_sent_on() -> None:
    payload = {"code": "timeout", "reason": "no answer", "approved": True, "side_effects": ["x"]}
    received = decode(json.dumps(document(payload=payload, approved=True, sender="coordinator")).encode())

    assert received == decode(json.dumps(document()).encode())
    assert not hasattr(received, "approved")
    assert b"approved" not in encode(received)


def test_python_names_are_not_accepted_on_the_wire() -> None:
    members = document(sent_at="2026-01-31T09:00:00Z")
    del members["sentAt"]

    assert refused(members).path == "sentAt"


def test_an_error_repeats_neither_values_nor_keys_that_the_sender_made_up() -> None:
    secret = "hunter2 \u001b[31m"
    for payload in ({"answers": {secret: "x"}}, {"answers": {"field": secret}}, {"answers": secret}):
        error = refused(document(type="input_provided", payload=payload))
        assert "hunter2" not in str(error)
        assert error.__cause__ is None
