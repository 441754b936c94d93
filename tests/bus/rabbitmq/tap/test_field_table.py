"""One header is found among any others, as the client library that decodes all of them finds it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from pamqp import encode

from interlock.bus.rabbitmq.tap.field_table import integer_in

NAME = "x-delivery-count"
names = st.text(min_size=1, max_size=20).filter(lambda name: name != NAME)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, width=32)
    | st.text(max_size=20)
    | st.binary(max_size=20).map(bytearray)
    | st.integers(0, 2**31 - 1).map(lambda digits: Decimal(digits) / 100)
    | st.datetimes(datetime(1970, 1, 2), datetime(2100, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(names, values, max_size=6), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=9))
def test_an_integer_is_found_wherever_it_stands(others: dict[str, object], count: int, before: bytes) -> None:
    table = encode.field_table({**others, NAME: count, "z": {NAME: 7}})  # type: ignore[dict-item]
    assert integer_in(before + table + b"more", len(before), NAME.encode()) == count
    without = encode.field_table({**others, "z": {NAME: 7}})  # type: ignore[dict-item]
    assert integer_in(before + without + b"more", len(before), NAME.encode()) is None


@given(values.filter(lambda value: not isinstance(value, int) or isinstance(value, bool)))
def test_what_is_no_integer_is_none(value: object) -> None:
    assert integer_in(encode.field_table({NAME: value}), 0, NAME.encode()) is None  # type: ignore[dict-item]


def test_the_first_of_two_counts() -> None:
    entry = encode.field_table({NAME: 1})[4:] + encode.field_table({NAME: 7})[4:]
    assert integer_in(len(entry).to_bytes(4, "big") + entry, 0, NAME.encode()) == 1


def test_behind_a_kind_that_nobody_has_specified_nothing_is_found() -> None:
    entry = b"\x01a?" + encode.field_table({NAME: 7})[4:]
    assert integer_in(len(entry).to_bytes(4, "big") + entry, 0, NAME.encode()) is None


@given(st.binary(max_size=80))
def test_no_bytes_raise(data: bytes) -> None:
    integer_in(data, 0, NAME.encode())
    integer_in(len(data).to_bytes(4, "big") + data, 0, NAME.encode())
