"""Text for people: harmless, short enough, and with times that can be read."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.agents.report.text import clock_offset, counted, duration, line, shortened, visible


@given(st.text(st.characters()))
def test_visible_text_has_no_character_that_steers(text: str) -> None:
    steering = [c for c in visible(text) if unicodedata.category(c) in {"Cc", "Cf", "Cs"} and c not in "\n\t"]

    assert steering == []


def test_what_can_be_seen_stays() -> None:
    assert visible("한국어 <b> `x`\n\tä🚦") == "한국어 <b> `x`\n\tä🚦"


def test_a_line_has_no_breaks() -> None:
    assert line(" one\r\ntwo\u2028three\t four ") == "one twothree four"


@pytest.mark.parametrize(
    ("text", "room", "short"),
    [("abc", 3, "abc"), ("abcdef", 4, "abc…"), ("데이터베이스", 8, "데이터…"), ("ab cd", 4, "ab…"), ("abc", 0, "…")],
)
def test_a_text_is_cut_to_its_room(text: str, room: int, short: str) -> None:
    assert shortened(text, room) == short


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, "0.00 s"),
        (0.844, "0.84 s"),
        (12.34, "12.3 s"),
        (59.96, "1 min 00 s"),
        (125, "2 min 05 s"),
        (3600, "1 h 00 min"),
        (7323, "2 h 02 min"),
    ],
)
def test_durations_are_told_as_people_say_them(seconds: float, told: str) -> None:
    assert duration(seconds) == told


@pytest.mark.parametrize(("seconds", "told"), [(0, "+0.00"), (59.5, "+59.50"), (62.5, "+1:02.50"), (-0.25, "-0.25")])
def test_offsets_count_from_the_beginning(seconds: float, told: str) -> None:
    assert clock_offset(seconds) == told


def test_one_is_singular() -> None:
    assert (counted(0, "line"), counted(1, "line"), counted(2, "line")) == ("0 lines", "1 line", "2 lines")
