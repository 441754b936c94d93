"""A workflow's way through its states as a picture: one box per stay, downwards, with times; it reads no store.

The same shapes are written as SVG or drawn as PNG, and the same path always gives the same picture.
"""

from __future__ import annotations

__all__ = ["Caption", "png", "svg"]

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC
from typing import TypeAlias

from interlock.agents.report.markup import Markup, element, fragment
from interlock.agents.report.text import duration, line, shortened
from interlock.agents.workflow.path import Visit

_WIDTH = 860
_LEFT, _BOX_WIDTH, _BOX_HEIGHT = 150, 220, 36
"""All measures are SVG user units, and pixels of the PNG."""
_STEP = 78
_HEAD, _FOOT = 92, 40
_BRANCH_WIDTH, _BRANCH_HEIGHT, _BRANCH_GAP = 124, 24, 10
_BRANCHES_SHOWN = 3
_INK, _MUTED, _PALE = "#1b2437", "#5d6b82", "#c3cad6"
_PLAIN, _GOOD, _BAD, _NOW = (
    ("#2f6fb3", "#eaf2fb"),
    ("#2e7d4f", "#e6f5ec"),
    ("#b3261e", "#fdecea"),
    ("#b26a00", "#fff3d6"),
)
"""Line and filling of boxes."""


@dataclass(frozen=True, slots=True)
class Caption:
    """What stands around the path."""

    title: str
    note: str = ""
    """What it waits for, or how it has ended."""
    ended: bool = False
    good: bool = True
    """Whether it has ended as it was meant to; does not matter before that."""


@dataclass(frozen=True, slots=True)
class _Box:
    x: int
    y: int
    width: int
    height: int
    line: str
    fill: str
    thick: bool = False
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class _Arrow:
    points: tuple[tuple[int, int], ...]
    colour: str
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class _Words:
    x: int
    y: int
    """The baseline."""
    text: str
    size: int = 13
    colour: str = _INK
    bold: bool = False
    middle: bool = False


_Shape: TypeAlias = _Box | _Arrow | _Words


@dataclass(slots=True)
class _Drawing:
    height: int
    shapes: list[_Shape] = field(default_factory=list[_Shape])


def svg(path: Sequence[Visit], caption: Caption) -> str:
    """Return the picture as an SVG document; times are in UTC."""
    drawing = _laid_out(path, caption)
    return str(
        element(
            "svg",
            element("title", line(caption.title)),
            element("rect", width=_WIDTH, height=drawing.height, fill="#ffffff"),
            fragment(*(_element(shape) for shape in drawing.shapes)),
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {_WIDTH} {drawing.height}",
            width=_WIDTH,
            height=drawing.height,
            role="img",
            font_family="Inter, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif",
        )
    )


def png(path: Sequence[Visit], caption: Caption) -> bytes:
    """Return the picture as PNG. Raises ModuleNotFoundError where Pillow is not installed."""
    from interlock.agents.systems.canvas import Canvas, Style  # only PNG needs Pillow

    drawing = _laid_out(path, caption)
    canvas = Canvas(_WIDTH, drawing.height)
    for shape in drawing.shapes:
        match shape:
            case _Box():
                box = (shape.x, shape.y, shape.x + shape.width, shape.y + shape.height)
                canvas.box(
                    box, Style(shape.line, shape.fill), radius=8, thickness=3 if shape.thick else 2, dashed=shape.dashed
                )
            case _Arrow():
                canvas.arrow(shape.points, colour=shape.colour)
            case _Words():
                canvas.text(
                    (shape.x, shape.y - round(shape.size * 0.85)),
                    shape.text,
                    size=shape.size,
                    bold=shape.bold,
                    colour=shape.colour,
                    align="middle" if shape.middle else "left",
                )
    return canvas.png()


def _laid_out(path: Sequence[Visit], caption: Caption) -> _Drawing:
    drawing = _Drawing(height=_HEAD + _STEP * max(len(path) - 1, 0) + _BOX_HEIGHT + _FOOT)
    drawing.shapes += [
        _Words(24, 36, _fitting(caption.title, 90), size=20, bold=True),
        _Words(24, 60, _fitting(caption.note, 110), colour=_MUTED),
    ]
    day = ""
    for number, visit in enumerate(path):
        top = _HEAD + number * _STEP
        is_last = number == len(path) - 1
        day = _time(drawing, visit, top, day=day)
        _state(drawing, visit, top, colours=_colours(caption, is_last=is_last), thick=is_last)
        _stayed(drawing, visit, top)
        _branches(drawing, visit, top)
        if not is_last:
            _way_on(drawing, path[number + 1], top)
    return drawing


def _time(drawing: _Drawing, visit: Visit, top: int, *, day: str) -> str:
    at = visit.entered_at.astimezone(UTC)
    drawing.shapes.append(_Words(24, top + 23, at.strftime("%H:%M:%S"), colour=_INK))
    today = at.strftime("%Y-%m-%d")
    if today != day:
        drawing.shapes.append(_Words(24, top + 5, f"{today} UTC", size=11, colour=_MUTED))
    return today


def _state(drawing: _Drawing, visit: Visit, top: int, *, colours: tuple[str, str], thick: bool) -> None:
    name = visit.state if visit.time == 1 else f"{visit.state} ({visit.time})"
    drawing.shapes += [
        _Box(_LEFT, top, _BOX_WIDTH, _BOX_HEIGHT, *colours, thick=thick),
        _Words(_LEFT + _BOX_WIDTH // 2, top + 23, name.replace("_", " "), size=14, bold=True, middle=True),
    ]


def _branches(drawing: _Drawing, visit: Visit, top: int) -> None:
    """Draw where it did not go, pale, at the side."""
    x = _LEFT + _BOX_WIDTH + 34
    y = top + (_BOX_HEIGHT - _BRANCH_HEIGHT) // 2
    shown = visit.not_taken[:_BRANCHES_SHOWN]
    if shown:
        middle = top + _BOX_HEIGHT // 2
        drawing.shapes.append(_Arrow(((_LEFT + _BOX_WIDTH + 2, middle), (x - 2, middle)), _PALE, dashed=True))
    for name in shown:
        drawing.shapes += [
            _Box(x, y, _BRANCH_WIDTH, _BRANCH_HEIGHT, _PALE, "#ffffff", dashed=True),
            _Words(x + _BRANCH_WIDTH // 2, y + 16, name.replace("_", " "), size=11, colour=_MUTED, middle=True),
        ]
        x += _BRANCH_WIDTH + _BRANCH_GAP
    if more := len(visit.not_taken) - len(shown):
        drawing.shapes.append(_Words(x, y + 16, f"+{more}", size=11, colour=_MUTED))


def _way_on(drawing: _Drawing, following: Visit, top: int) -> None:
    """Draw the step to the next state: what led there, from whom, and after how long."""
    x = _LEFT + _BOX_WIDTH // 2
    begin, end = top + _BOX_HEIGHT, top + _STEP
    cause = " or ".join(following.triggers[:2])
    told = f"{cause} from {following.by}" if following.by else cause
    drawing.shapes += [
        _Arrow(((x, begin + 2), (x, end - 2)), _INK),
        _Words(x + 14, (begin + end) // 2 + 4, _fitting(told, 70), size=12, colour=_MUTED),
    ]


def _stayed(drawing: _Drawing, visit: Visit, top: int) -> None:
    if visit.seconds is not None:
        drawing.shapes.append(_Words(24, top + 42, duration(visit.seconds), size=11, colour=_MUTED))


def _colours(caption: Caption, *, is_last: bool) -> tuple[str, str]:
    if not is_last:
        return _PLAIN
    if not caption.ended:
        return _NOW
    return _GOOD if caption.good else _BAD


def _fitting(text: str, characters: int) -> str:
    return shortened(line(text), characters)


def _element(shape: _Shape) -> Markup:
    match shape:
        case _Box():
            return element(
                "rect",
                x=shape.x,
                y=shape.y,
                width=shape.width,
                height=shape.height,
                rx=8,
                fill=shape.fill,
                stroke=shape.line,
                stroke_width=3 if shape.thick else 1.5,
                stroke_dasharray="5 4" if shape.dashed else None,
            )
        case _Arrow():
            return _arrow(shape)
        case _Words():
            return element(
                "text",
                shape.text,
                x=shape.x,
                y=shape.y,
                font_size=shape.size,
                font_weight="600" if shape.bold else None,
                fill=shape.colour,
                text_anchor="middle" if shape.middle else None,
            )


def _arrow(arrow: _Arrow) -> Markup:
    """Return a line with its head; arrows go down or to the right."""
    points = " ".join(f"{x},{y}" for x, y in arrow.points)
    (before_x, _), (x, y) = arrow.points[-2:]
    down = f"{x - 5},{y - 9} {x + 5},{y - 9} {x},{y}"
    right = f"{x - 9},{y - 5} {x - 9},{y + 5} {x},{y}"
    return fragment(
        element(
            "polyline",
            points=points,
            fill="none",
            stroke=arrow.colour,
            stroke_width=1.5,
            stroke_dasharray="4 4" if arrow.dashed else None,
        ),
        element("polygon", points=down if before_x == x else right, fill=arrow.colour),
    )
