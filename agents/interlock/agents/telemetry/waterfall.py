"""Draws a trace as SVG: a lane per process, time from left to right; it reads no file and knows no message's meaning.

Time in which nobody works is cut short, and marked with how long it was.
"""

from __future__ import annotations

__all__ = ["waterfall"]

from collections.abc import Iterator, Sequence
from html import escape

from interlock.agents.telemetry.trace_file import Span

_WIDTH, _LEFT, _RIGHT = 1200, 150, 24
_TOP, _LANE, _FOOT = 96, 76, 46
_WORK, _CALLS = 22, 10
"""Heights of the bars for handlers and for outside calls."""
_NARROWEST = 1.6
_LETTER = 6.1
"""Pixels of an average letter of a bar's label."""
_FIRST = ("console", "coordinator", "devops-agent", "security-agent", "backend-agent", "qa-agent", "deploy-agent")
"""Lanes from the top, where they are there."""
_IDLE, _CUT = 0.06, 44
"""What part of the whole is worth cutting when nobody works in it, and how many pixels are left of it."""
_STEPS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_MOST_TICKS = 12

_STYLE = """
svg { --card: #ffffff; --ink: #1f2328; --quiet: #656d76; --rule: #e3e6ea; --work: #3157a4; --label: #ffffff;
      --call: #4f9d8f; --effect: #c9a227; --hop: #8b6fc0; --bad: #b3261e; --lane: #f6f7f9;
      font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --card: #0d1117; --ink: #e4e6e9; --quiet: #9aa2ab; --rule: #2b323b; --work: #7ea3e8; --label: #0d1117;
        --call: #6bbfae; --effect: #d9b84a; --hop: #a78bdb; --bad: #f28b82; --lane: #151b23; }
}
.paper { fill: var(--card); stroke: var(--rule); }
.lane { fill: var(--lane); }
.title { fill: var(--ink); font-size: 17px; font-weight: 600; }
.quiet { fill: var(--quiet); font-size: 11.5px; }
.name { fill: var(--ink); font-size: 12.5px; font-weight: 600; }
.cut { fill: var(--rule); fill-opacity: .55; }
.grid { stroke: var(--rule); stroke-width: 1; }
.work { fill: var(--work); }
.call { fill: var(--call); fill-opacity: .75; }
.effect { fill: none; stroke: var(--effect); stroke-width: 1.6; }
.whole { fill: var(--quiet); fill-opacity: .35; }
.bad { fill: var(--bad); }
.hop { fill: none; stroke: var(--hop); stroke-width: 1.1; stroke-opacity: .55; }
.label { fill: var(--label); font-size: 10.5px; }
"""


def waterfall(spans: Sequence[Span]) -> str:
    """Return the picture of one trace. Of the same spans it is always the same."""
    return _Picture(spans).draw() if spans else '<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>\n'


class _Picture:
    def __init__(self, spans: Sequence[Span]) -> None:
        self._spans = spans
        self._began = min(span.start for span in spans)
        self._seconds = max((max(span.end for span in spans) - self._began) / 1e9, 1e-6)
        services = {span.service for span in spans}
        known = [name for name in _FIRST if name in services]
        self._lanes = {name: number for number, name in enumerate([*known, *sorted(services - set(known))])}
        self._height = _TOP + _LANE * len(self._lanes) + _FOOT
        self._by_id = {span.span_id: span for span in spans}
        self._cuts = tuple(self._idle())
        idle = sum(end - start for start, end in self._cuts) / 1e9
        self._pixels = (_WIDTH - _LEFT - _RIGHT - _CUT * len(self._cuts)) / max(self._seconds - idle, 1e-6)

    def draw(self) -> str:
        title = f"One trace, {len(self._lanes)} processes, {len(self._spans)} spans, {self._seconds:.1f} s"
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {self._height}" role="img">',
            f"<title>{title}</title>",
            f"<style>{_STYLE}</style>",
            f'<rect class="paper" x=".5" y=".5" width="{_WIDTH - 1}" height="{self._height - 1}" rx="10"/>',
            f'<text class="title" x="24" y="36">{title}</text>',
            *self._legend(),
            *self._backdrop(),
            *self._hops(),
            *self._bars(),
            "</svg>",
        ]
        return "\n".join(parts) + "\n"

    def _legend(self) -> Iterator[str]:
        x = 24.0
        for kind, text in (
            ("work", "handling a message"),
            ("effect", "an effect, journalled"),
            ("call", "a call of an outside system"),
            ("bad", "failed"),
            ("hop", "a message, from its sending to its handling"),
        ):
            if kind == "hop":
                yield f'<path class="hop" d="M{x:.1f} 58l14 0"/>'
            else:
                yield f'<rect class="{kind}" x="{x:.1f}" y="53" width="14" height="9" rx="2"/>'
            yield f'<text class="quiet" x="{x + 20:.1f}" y="62">{text}</text>'
            x += 46 + len(text) * _LETTER

    def _backdrop(self) -> Iterator[str]:
        for service, number in self._lanes.items():
            top = _TOP + number * _LANE
            count = sum(span.service == service for span in self._spans)
            width, height = _WIDTH - _LEFT - _RIGHT, _LANE - 8
            yield f'<rect class="lane" x="{_LEFT}" y="{top + 4}" width="{width}" height="{height}" rx="4"/>'
            yield f'<text class="name" x="24" y="{top + 33}">{escape(service)}</text>'
            yield f'<text class="quiet" x="24" y="{top + 50}">{count} spans</text>'
        bottom = _TOP + _LANE * len(self._lanes)
        for start, end in self._cuts:
            left, middle = self._x(start), (self._x(start) + self._x(end)) / 2
            wide, seconds = self._x(end) - left, (end - start) / 1e9
            yield f'<rect class="cut" x="{left:.1f}" y="{_TOP}" width="{wide:.1f}" height="{bottom - _TOP}"/>'
            yield f'<text class="quiet" x="{middle:.1f}" y="{_TOP - 6}" text-anchor="middle">{seconds:.1f} s</text>'
        worked = (_WIDTH - _LEFT - _RIGHT) / self._pixels
        step = next((step for step in _STEPS if worked / step <= _MOST_TICKS), _STEPS[-1])
        for number in range(int(self._seconds / step) + 1):
            moment = self._began + int(number * step * 1e9)
            if any(start < moment < end for start, end in self._cuts):
                continue
            x = self._x(moment)
            yield f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom + 4}"/>'
            yield f'<text class="quiet" x="{x:.1f}" y="{bottom + 22}" text-anchor="middle">{number * step:g} s</text>'

    def _hops(self) -> Iterator[str]:
        """Draw each message between two processes, from the end of its sending to the start of its handling."""
        for span in self._spans:
            send = self._by_id.get(span.parent_id or "")
            if span.operation != "process" or send is None or send.operation != "send" or send.service == span.service:
                continue
            x1, x2 = self._x(send.start), self._x(span.start)
            down = self._lanes[span.service] > self._lanes[send.service]
            y1 = self._work_top(send.service) + (_WORK if down else 0)
            y2 = self._work_top(span.service) + (0 if down else _WORK)
            bend = (y1 + y2) / 2
            yield f'<path class="hop" d="M{x1:.1f} {y1}C{x1:.1f} {bend:.1f} {x2:.1f} {bend:.1f} {x2:.1f} {y2}"/>'

    def _bars(self) -> Iterator[str]:
        for span in sorted(self._spans, key=lambda span: (_depth(span), span.start, span.span_id)):
            kind = _kind(span)
            if kind is None:
                continue
            x, top = self._x(span.start), self._work_top(span.service)
            width = max(_NARROWEST, self._x(span.end) - x)
            y, height = {
                "whole": (top - 9, 4),
                "work": (top, _WORK),
                "effect": (top + _WORK + 4, _CALLS + 4),
                "call": (top + _WORK + 6, _CALLS),
            }[kind]
            shown = f"{kind} bad" if span.is_error and kind != "effect" else kind
            milliseconds = (span.end - span.start) / 1e6
            tip = escape(f"{span.service}: {span.name}, {milliseconds:.1f} ms")
            yield (
                f'<rect class="{shown}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" rx="1.5">'
                f"<title>{tip}</title></rect>"
            )
            name = str(span.attributes.get("interlock.message.type", span.name))
            if kind == "work" and width > len(name) * _LETTER + 8:
                yield f'<text class="label" x="{x + 5:.1f}" y="{top + 15}">{escape(name)}</text>'

    def _work_top(self, service: str) -> int:
        return _TOP + self._lanes[service] * _LANE + 18

    def _idle(self) -> Iterator[tuple[int, int]]:
        """Yield the stretches in which nobody handles, calls or sends anything, if they are long."""
        busy_until = self._began
        for span in sorted(self._spans, key=lambda span: span.start):
            if _kind(span) == "whole":
                continue
            if span.start - busy_until > _IDLE * self._seconds * 1e9:
                yield busy_until, span.start
            busy_until = max(busy_until, span.end)

    def _x(self, moment: int) -> float:
        x, shown_until = float(_LEFT), self._began
        for start, end in self._cuts:
            if moment <= start:
                break
            x += (start - shown_until) / 1e9 * self._pixels
            x += _CUT * min(1.0, (moment - start) / (end - start))
            shown_until = max(start, min(moment, end))
        return x + (moment - shown_until) / 1e9 * self._pixels


def _kind(span: Span) -> str | None:
    """Return how a span is drawn; sending and receiving show as the line between two handlers."""
    if span.operation in {"send", "receive"}:
        return None
    if span.operation == "process":
        return "work"
    if span.operation == "effect":
        return "effect"
    return "call" if span.kind == "CLIENT" else "whole"


def _depth(span: Span) -> int:
    """Return the layer: what encloses is drawn first."""
    return {"whole": 0, "work": 1, "call": 2, "effect": 3}.get(_kind(span) or "", 0)
