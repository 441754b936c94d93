"""The picture is a PNG of a readable size that follows the specification and survives any text."""

from __future__ import annotations

from io import BytesIO

import pytest
from PIL import Image

from interlock.agents.systems.diagram import architecture_png
from interlock.protocol.infrastructure import DatabaseSpec

ENDPOINT = "prod-db.abc123.ap-northeast-2.rds.amazonaws.com"


def test_it_is_a_png_large_enough_to_read(spec: DatabaseSpec) -> None:
    with Image.open(BytesIO(architecture_png(spec, endpoint=ENDPOINT, title="PROJ-140"))) as picture:
        assert picture.format == "PNG"
        assert picture.size == (1400, 900)


def test_the_same_specification_gives_the_same_picture(spec: DatabaseSpec) -> None:
    draw = [architecture_png(spec, endpoint=ENDPOINT, title="PROJ-140") for _ in range(2)]
    assert draw[0] == draw[1]


@pytest.mark.parametrize(
    "change", [{"multi_az": False}, {"publicly_accessible": True}, {"encryption_in_transit": False}]
)
def test_what_the_specification_says_can_be_seen(spec: DatabaseSpec, change: dict[str, bool]) -> None:
    before = architecture_png(spec, endpoint=ENDPOINT, title="PROJ-140")
    assert architecture_png(spec.model_copy(update=change), endpoint=ENDPOINT, title="PROJ-140") != before


@pytest.mark.parametrize("title", ["", "프로덕션 데이터베이스", "x" * 2000, "\x00\n\t"])
def test_no_text_is_too_long_or_too_foreign(spec: DatabaseSpec, title: str) -> None:
    assert architecture_png(spec, endpoint="e" * 253, title=title).startswith(b"\x89PNG")
