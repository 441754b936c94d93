"""A refusal's text is read exactly, or not at all."""

from __future__ import annotations

import pytest

from interlock.bus.rabbitmq.inequivalence import Difference, inequivalence

PREFIX = "PRECONDITION_FAILED - inequivalent arg"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'x-max-length' for queue 'q' in vhost 'v': received '5' but current is '7'", ("x-max-length", 7, 5)),
        (
            "'x-max-length' for queue 'q' in vhost 'v': received none but current is the value '7' of type 'signedint'",
            ("x-max-length", 7, None),
        ),
        (
            (
                "'x-single-active-consumer' for queue 'q' in vhost 'v': "
                "received none but current is the value 'true' of type 'bool'"
            ),
            ("x-single-active-consumer", True, None),
        ),
        (
            "'x-message-ttl' for queue 'q' in vhost 'v': received the value '77' of type 'byte' but current is none",
            ("x-message-ttl", None, 77),
        ),
        (
            (
                "'x-dead-letter-routing-key' for queue 'q' in vhost 'v': "
                "received none but current is the value '42' of type 'longstr'"
            ),
            ("x-dead-letter-routing-key", "42", None),
        ),
        (
            "'x-max-age' for queue 'q' in vhost 'v': received '5s' but current is '604800s'",
            ("x-max-age", "604800s", "5s"),
        ),
        ("'durable' for queue 'q' in vhost 'v': received 'false' but current is 'true'", ("durable", True, False)),
        (
            "'x-delivery-limit' for queue 'q' in vhost 'v': received '-1' but current is '20'",
            ("x-delivery-limit", 20, -1),
        ),
    ],
)
def test_each_wording_names_the_argument_and_both_values(text: str, expected: tuple[str, object, object]) -> None:
    found = inequivalence(f"{PREFIX} {text}")

    assert found is not None
    assert (found.kind, found.name) == ("queue", "q")
    difference = found.difference
    assert (difference.argument, difference.has, difference.wants) == expected
    assert type(difference.has) is type(expected[1])


def test_the_error_says_what_to_do() -> None:
    found = inequivalence(f"{PREFIX} 'type' for exchange 'x' in vhost 'v': received 'direct' but current is 'topic'")

    assert str(found) == (
        "exchange 'x' on the broker differs from what was asked for, and cannot be changed in place "
        "(type: has topic, wants direct); `interlock topology plan` shows all differences and what to do"
    )


@pytest.mark.parametrize(
    "text",
    [
        "PRECONDITION_FAILED - unknown delivery tag 1",
        "PRECONDITION_FAILED - user_id property set to 'a' but authenticated user was 'b'",
        "",
    ],
)
def test_another_refusal_is_not_read_as_one(text: str) -> None:
    assert inequivalence(text) is None


def test_none_is_shown_as_none() -> None:
    assert str(Difference("x-max-length", None, 5)) == "x-max-length: has none, wants 5"
