"""The page on performance and its plots are what the results say, and nothing else lies beside them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

from benchmarks.page import DOCUMENT, KEPT, images, page, results
from benchmarks.parts import PARTS


def test_the_page_is_written_from_the_results() -> None:
    text = DOCUMENT.read_text("utf-8")

    assert page(text, results()) == text, "run `make performance`"


def test_the_plots_are_drawn_from_the_results() -> None:
    drawn = dict(images(results()))

    assert drawn == {file.name: file.read_text("utf-8") for file in KEPT.glob("*.svg")}, "run `make performance`"
    for image in drawn.values():
        ElementTree.fromstring(image)  # noqa: S314 # drawn here a moment ago


def test_the_page_shows_every_part_and_every_plot() -> None:
    text = DOCUMENT.read_text("utf-8")
    shown = set(re.findall(r"<!-- ([a-z-]+) begin -->", text))

    assert shown == PARTS.keys() | {"circumstances", "gains", "prices"}
    assert set(re.findall(r"\(performance/([a-z-]+\.svg)\)", text)) >= dict(images(results())).keys()


def test_what_is_kept_was_measured_in_full() -> None:
    kept = results()

    assert kept.keys() <= PARTS.keys()
    assert not any(result["where"]["quick"] for result in kept.values())


def test_another_figure_changes_page_and_plots() -> None:
    kept = results()
    before = dict(images(kept))
    for run in kept["peers"]["found"]["consume"]["Interlock"]:
        run["rate"] *= 2

    assert page(DOCUMENT.read_text("utf-8"), kept) != DOCUMENT.read_text("utf-8")
    assert [name for name, image in images(kept) if image != before[name]] == ["consume.svg"]
