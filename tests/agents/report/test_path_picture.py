"""A path's picture shows every stay, marks where it stands, and is the same each time."""

from __future__ import annotations

import struct
from datetime import timedelta
from xml.etree import ElementTree

import pytest

from interlock.agents.report.path_picture import Caption, png, svg
from interlock.agents.workflow.path import Visit
from store_rows import START

PATH = (
    Visit("received", START, START, not_taken=("declined",)),
    Visit("analysing", START, START + timedelta(seconds=75), by="console", triggers=("change_requested",)),
    Visit(
        "over_budget",
        START + timedelta(days=1),
        by="devops-agent",
        triggers=("cost_estimate_ready",),
        time=2,
        not_taken=("estimated", "expired", "failed", "declined", "closing"),
    ),
)
CAPTION = Caption("PROJ-140 <script>alert(1)</script>", note="waits for an approver")


def texts(picture: str) -> list[str]:
    root = ElementTree.fromstring(picture)  # noqa: S314 - made by the test itself
    return [element.text or "" for element in root.iter("{http://www.w3.org/2000/svg}text")]


def test_the_picture_names_every_stay_its_moment_its_length_and_its_cause() -> None:
    shown = texts(svg(PATH, CAPTION))
    for expected in (
        "received",
        "analysing",
        "over budget (2)",
        "09:00:00",
        "2026-01-05 UTC",
        "2026-01-06 UTC",
        "1 min 15 s",
        "change_requested from console",
        "cost_estimate_ready from devops-agent",
        "waits for an approver",
        "+2",
    ):
        assert expected in shown
    assert shown.count("2026-01-05 UTC") == 1


def test_what_tickets_say_is_text_and_nothing_else() -> None:
    picture = svg(PATH, CAPTION)
    assert "<script>" not in picture
    assert CAPTION.title in texts(picture)


@pytest.mark.parametrize(
    ("caption", "colour"),
    [
        (Caption("a"), "#fff3d6"),
        (Caption("a", ended=True), "#e6f5ec"),
        (Caption("a", ended=True, good=False), "#fdecea"),
    ],
)
def test_where_it_stands_is_marked_by_how_that_is(caption: Caption, colour: str) -> None:
    colours = ("#fff3d6", "#e6f5ec", "#fdecea")
    assert [found for found in colours if found in svg(PATH, caption)] == [colour]


def test_the_same_path_gives_the_same_picture() -> None:
    assert svg(PATH, CAPTION) == svg(PATH, CAPTION)
    assert png(PATH, CAPTION) == png(PATH, CAPTION)


def test_both_kinds_of_picture_have_the_same_size() -> None:
    root = ElementTree.fromstring(svg(PATH, CAPTION))  # noqa: S314 - made by the test itself
    content = png(PATH, CAPTION)
    assert content.startswith(b"\x89PNG")
    assert struct.unpack(">II", content[16:24]) == (int(root.attrib["width"]), int(root.attrib["height"]))
