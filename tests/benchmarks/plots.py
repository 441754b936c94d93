"""Plots as SVG: bars and lines, the same bytes from the same figures; it knows no benchmark.

Written by hand rather than by a plotting library, so that the test of the page needs none, and every release of one
draws the same. Each follows the reader's light or dark scheme, and fills its own ground, whatever the page's is.
"""

from __future__ import annotations

__all__ = ["Bars", "Lines", "bars", "lines"]

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH = 860
_TOP = 44
_GAP = 24
_ROW = 26
_PLOT = 230
_SPREAD = 0.02
"""What part of the whole scale the rounds may lie apart before a whisker shows it."""
_STYLE = """<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.ground { fill: #ffffff }
.grid { stroke: #d8dee4 }
.whisker { stroke: #1f2328; stroke-width: 1.2 }
.other { fill: #9aa4af } .ours { fill: #4051b5 }
.line { fill: none; stroke-width: 2.5 }
.a { stroke: #4051b5 } .b { stroke: #bc4c00 } .c { stroke: #1a7f5a } .d { stroke: #8250a8 }
.fa { fill: #4051b5 } .fb { fill: #bc4c00 } .fc { fill: #1a7f5a } .fd { fill: #8250a8 }
.b { stroke-dasharray: 7 4 } .d { stroke-dasharray: 2 4 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.ground { fill: #161b22 }
.grid { stroke: #3a424c }
.whisker { stroke: #e6edf3 }
.other { fill: #6e7681 } .ours { fill: #8c9eff }
.a { stroke: #8c9eff } .b { stroke: #f0883e } .c { stroke: #56d4a4 } .d { stroke: #d2a8ff }
.fa { fill: #8c9eff } .fb { fill: #f0883e } .fc { fill: #56d4a4 } .fd { fill: #d2a8ff }
}
</style>"""


@dataclass(frozen=True, slots=True)
class Bars:
    """A panel of bars: what the axis measures, and each name's figures of all rounds."""

    axis: str
    rounds: Mapping[str, Sequence[float]]
    absent: str = ""
    """What is said of those who have none here."""


@dataclass(frozen=True, slots=True)
class Lines:
    """A panel of lines: what both axes measure, and points by name; the upward axis begins at zero."""

    across: str
    up: str
    points: Mapping[str, Sequence[tuple[float, float]]]
    doubling: bool = True
    """Whether equal steps across are equal factors, with a tick at each point."""


def bars(title: str, panels: Sequence[Bars]) -> str:
    """Return panels side by side: a bar for each name with its median, and a whisker from least to most."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.rounds))
    left = 24 + 7 * max(len(name) for name in names)
    width = (_WIDTH - left - _GAP * len(panels)) / len(panels)
    below = _TOP + len(names) * _ROW
    content = [
        _text(left - 8, _TOP + row * _ROW + 17, name, anchor="end", bold=name.startswith("Interlock"))
        for row, name in enumerate(names)
    ]
    for number, panel in enumerate(panels):
        content += _bars(panel, names, left + number * (width + _GAP), width, below)
    return _picture(title, below + 48, content)


def _bars(panel: Bars, names: Sequence[str], left: float, width: float, below: float) -> Iterable[str]:
    most = max((max(figures) for figures in panel.rounds.values()), default=1.0)
    ticks = _ticks(most)
    scale = (width - 64) / max(most, ticks[-1])
    for tick in ticks:
        x = left + tick * scale
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{below}"/>'
        yield _text(x, below + 16, _figure(tick), anchor="middle")
    yield _text(left, below + 36, panel.axis)
    for row, name in enumerate(names):
        y = _TOP + row * _ROW
        if name not in panel.rounds:
            yield _text(left + 6, y + 17, panel.absent)
            continue
        figures = panel.rounds[name]
        median, low, high = statistics.median(figures), min(figures), max(figures)
        kind = "ours" if name.startswith("Interlock") else "other"
        long = max(1.0, median * scale)
        yield f'<rect class="{kind}" x="{left:.1f}" y="{y + 4}" width="{long:.1f}" height="{_ROW - 8}" rx="2"/>'
        end = left + long
        if (high - low) * scale > _SPREAD * width:
            middle = y + _ROW / 2
            yield (
                f'<line class="whisker" x1="{left + low * scale:.1f}" x2="{left + high * scale:.1f}" '
                f'y1="{middle}" y2="{middle}"/>'
            )
            end = left + high * scale
        yield _text(end + 6, y + 17, _figure(median))


def lines(title: str, panels: Sequence[Lines]) -> str:
    """Return panels side by side: a line for each name, which has the same colour in all of them."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.points))
    content: list[str] = []
    x, y = 12.0, _TOP + 4
    for name, key in zip(names, "abcd", strict=False):
        if x + 44 + 7 * len(name) > _WIDTH:
            x, y = 12.0, y + 20
        content.append(f'<line class="line {key}" x1="{x:.0f}" x2="{x + 26:.0f}" y1="{y}" y2="{y}"/>')
        content.append(_text(x + 32, y + 4, name))
        x += 60 + 7 * len(name)
    top, width = y + 40, (_WIDTH - _GAP * (len(panels) + 1)) / len(panels)
    for number, panel in enumerate(panels):
        content += _lines(panel, names, 12 + number * (width + _GAP), width, top)
    return _picture(title, top + _PLOT + 52, content)


def _lines(panel: Lines, names: Sequence[str], left: float, width: float, top: float) -> Iterable[str]:
    below, begin = top + _PLOT, left + 50
    places = sorted({place for points in panel.points.values() for place, _ in points})
    most = max(figure for points in panel.points.values() for _, figure in points)
    ticks = _ticks(most * 1.05, above=True)

    def across(place: float) -> float:
        share = math.log(place / places[0], places[-1] / places[0]) if panel.doubling else place / places[-1]
        return begin + share * (left + width - begin - 14)

    def up(figure: float) -> float:
        return below - figure / ticks[-1] * _PLOT

    yield _text(left, top - 14, panel.up)
    for tick in ticks:
        yield f'<line class="grid" x1="{begin}" x2="{left + width:.1f}" y1="{up(tick):.1f}" y2="{up(tick):.1f}"/>'
        yield _text(begin - 8, up(tick) + 4, _figure(tick), anchor="end")
    for place in places if panel.doubling else _ticks(places[-1]):
        yield _text(across(place), below + 18, f"{place:,g}", anchor="middle")
    yield _text((begin + left + width) / 2, below + 38, panel.across, anchor="middle")
    for name, points in panel.points.items():
        key = "abcd"[names.index(name)]
        spots = [(across(place), up(figure)) for place, figure in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
        yield f'<polyline class="line {key}" points="{path}"/>'
        if panel.doubling:
            yield from (f'<circle class="f{key}" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>' for x, y in spots)


def _ticks(most: float, *, above: bool = False) -> list[float]:
    """Return round figures from zero, in at most five steps, up to `most` or to the next one above."""
    rough = most / 5
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    count = math.ceil(most / step) if above else math.floor(most / step)
    return [step * number for number in range(count + 1)]


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.3g}"


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False) -> str:
    style = ' style="font-weight: 600"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{style}>{escape(text)}</text>'


def _picture(title: str, height: float, content: Iterable[str]) -> str:
    inner = "\n".join(content)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height:.0f}" '
        f'viewBox="0 0 {_WIDTH} {height:.0f}" role="img">\n'
        f"<title>{escape(title)}</title>\n{_STYLE}\n"
        f'<rect class="ground" width="100%" height="100%" rx="6"/>\n'
        f'<text class="title" x="12" y="26">{escape(title)}</text>\n{inner}\n</svg>\n'
    )
