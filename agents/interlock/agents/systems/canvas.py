"""A small drawing surface: boxes, cards, cylinders, arrows and text, smoothed; it knows nothing of what is drawn."""

from __future__ import annotations

__all__ = ["Box", "Canvas", "Point", "Style"]

import math
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

Point = tuple[int, int]
Box = tuple[int, int, int, int]
"""Left, top, right and bottom, in pixels of the finished picture."""

_SMOOTHING = 2
_INK, _MUTED, _PAPER = "#1b2437", "#5d6b82", "#ffffff"
_HEAD_LENGTH, _HEAD_WIDTH = 12, 5
_LONGEST_LINE = 300


@dataclass(frozen=True, slots=True)
class Style:
    """Colours as `#rrggbb`."""

    line: str
    fill: str = _PAPER


class Canvas:
    """Draws several times larger than asked, and shrinks at the end, so that every edge is smooth."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self._image = Image.new("RGB", (width * _SMOOTHING, height * _SMOOTHING), _PAPER)
        self._draw = ImageDraw.Draw(self._image)

    def png(self) -> bytes:
        """Return the finished picture."""
        file = BytesIO()
        self._image.resize(self._size, Image.Resampling.LANCZOS).save(file, "PNG")
        return file.getvalue()

    def text(
        self,
        at: Point,
        words: str,
        *,
        size: int = 16,
        bold: bool = False,
        colour: str = _INK,
        align: Literal["left", "middle"] = "left",
        within: int | None = None,
    ) -> None:
        """Write one line whose top is at a point; made smaller, then cut, to stay `within` pixels."""
        latin = words[:_LONGEST_LINE].encode("latin-1", errors="replace").decode("latin-1")
        line = "".join(letter if letter.isprintable() else "?" for letter in latin)
        while within is not None and self._width(line, size) > within and size > 11:
            size -= 1
        while within is not None and self._width(line, size) > within:
            line = f"{line.removesuffix('...')[:-1]}..."
        self._draw.text(
            (at[0] * _SMOOTHING, at[1] * _SMOOTHING),
            line,
            fill=colour,
            font=_font(size),
            anchor="la" if align == "left" else "ma",
            stroke_width=1 if bold else 0,
        )

    def box(self, box: Box, style: Style, *, radius: int = 12, thickness: int = 2, dashed: bool = False) -> None:
        """Draw a rounded box, filled; a dashed one is left empty."""
        scaled = _scaled(box)
        if not dashed:
            self._draw.rounded_rectangle(
                scaled, radius * _SMOOTHING, fill=style.fill, outline=style.line, width=thickness * _SMOOTHING
            )
            return
        left, top, right, bottom = box
        for x in range(left, right, 12):
            for y in (top, bottom):
                self._line([(x, y), (min(x + 7, right), y)], style.line, thickness)
        for y in range(top, bottom, 12):
            for x in (left, right):
                self._line([(x, y), (x, min(y + 7, bottom))], style.line, thickness)

    def card(self, box: Box, style: Style, *, title: str, lines: Sequence[str]) -> None:
        """Draw a box with a coloured edge, a title, and lines of detail."""
        left, top, right, bottom = box
        self.box(box, style, radius=10)
        self._draw.rounded_rectangle(_scaled((left, top, left + 8, bottom)), 4 * _SMOOTHING, fill=style.line)
        within = right - left - 40
        self.text((left + 24, top + 14), title, size=18, bold=True, within=within)
        for number, line in enumerate(lines):
            self.text((left + 24, top + 43 + 22 * number), line, size=15, colour=_MUTED, within=within)

    def cylinder(self, box: Box, style: Style) -> None:
        """Draw the customary sign of a database."""
        left, top, right, bottom = box
        lid = (bottom - top) // 4
        edge = 2 * _SMOOTHING
        self._draw.rectangle(_scaled((left, top + lid // 2, right, bottom - lid // 2)), fill=style.fill)
        self._draw.ellipse(
            _scaled((left, bottom - lid, right, bottom)), fill=style.fill, outline=style.line, width=edge
        )
        self._draw.rectangle(_scaled((left + 2, bottom - lid - 2, right - 2, bottom - lid // 2)), fill=style.fill)
        self._draw.ellipse(_scaled((left, top, right, top + lid)), fill=_PAPER, outline=style.line, width=edge)
        for x in (left + 1, right - 1):
            self._line([(x, top + lid // 2), (x, bottom - lid // 2)], style.line, 2)

    def arrow(self, points: Sequence[Point], *, colour: str, both: bool = False) -> None:
        """Draw a line through points with a head at its end, or at both."""
        self._line(points, colour, 2)
        self._head(points[-2], points[-1], colour)
        if both:
            self._head(points[1], points[0], colour)

    def _head(self, start: Point, tip: Point, colour: str) -> None:
        angle = math.atan2(tip[1] - start[1], tip[0] - start[0])
        back = (tip[0] - _HEAD_LENGTH * math.cos(angle), tip[1] - _HEAD_LENGTH * math.sin(angle))
        across = (-math.sin(angle) * _HEAD_WIDTH, math.cos(angle) * _HEAD_WIDTH)
        corners = (tip, (back[0] + across[0], back[1] + across[1]), (back[0] - across[0], back[1] - across[1]))
        self._draw.polygon([(x * _SMOOTHING, y * _SMOOTHING) for x, y in corners], fill=colour)

    def _line(self, points: Sequence[Point], colour: str, thickness: int) -> None:
        scaled = [(x * _SMOOTHING, y * _SMOOTHING) for x, y in points]
        self._draw.line(scaled, fill=colour, width=thickness * _SMOOTHING, joint="curve")

    def _width(self, words: str, size: int) -> float:
        return self._draw.textlength(words, font=_font(size)) / _SMOOTHING


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size * _SMOOTHING)


def _scaled(box: Box) -> Box:
    left, top, right, bottom = box
    return left * _SMOOTHING, top * _SMOOTHING, right * _SMOOTHING, bottom * _SMOOTHING
