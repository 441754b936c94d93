"""A conversation as a sequence diagram in SVG: a lifeline per agent, an arrow per message, in the order of sending.

Presence is left out: it is no part of what was agreed. Colours come from the page's style sheet.
"""

from __future__ import annotations

__all__ = ["sequence"]

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from interlock.agents.report.markup import Markup, element, fragment
from interlock.agents.report.telling import telling
from interlock.agents.report.text import clock_offset, line, shortened
from interlock.agents.report.timeline import StateEntry
from interlock.agents.report.tone import spoken, tone
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import ALL
from interlock.protocol.roles import BACKEND, CONSOLE, COORDINATOR, DEPLOY, DEVOPS, QA, SECURITY

_ORDER = (CONSOLE, COORDINATOR, DEVOPS, BACKEND, SECURITY, QA, DEPLOY)
_GUTTER = 118
"""Width at the left for times and states; all measures are SVG user units, about one pixel each."""
_MARGIN = 78
_LABEL_PADDING = 26
_CHARACTER = 6.4
"""Width of a character of the labels."""
_NARROWEST = 136
_SMALL_CHARACTER = 5.6
_ROW = 42
_BAND = 24
_HEAD = 40
_LOOP = 46
"""Width of an arrow back to its own lifeline."""


@dataclass(frozen=True, slots=True)
class _Lanes:
    """Where each participant's lifeline stands."""

    positions: dict[str, float]

    @classmethod
    def of(cls, envelopes: Sequence[Envelope[Any]]) -> _Lanes:
        """Order the participants, and part neighbours so far that the labels between them fit."""
        present = {name: None for envelope in envelopes for name in (envelope.sender, envelope.receiver)}
        known = [name for name in _ORDER if name in present]
        names = [*known, *sorted(present.keys() - {*known, ALL}), *([ALL] if ALL in present else [])]
        places = {name: place for place, name in enumerate(names)}
        gaps = [float(_NARROWEST)] * max(len(names) - 1, 0)
        for envelope in envelopes:
            left, right = sorted((places[envelope.sender], places[envelope.receiver]))
            if right - left == 1:
                gaps[left] = max(gaps[left], len(envelope.type) * _CHARACTER + _LABEL_PADDING)
        positions: dict[str, float] = {}
        x = float(_GUTTER + _MARGIN)
        for name, gap in zip(names, [*gaps, 0.0], strict=True):
            positions[name] = x
            x += gap
        return cls(positions)

    @property
    def width(self) -> float:
        """Of the whole diagram."""
        return max(self.positions.values(), default=_GUTTER) + _MARGIN

    def heads(self) -> Markup:
        """The participants' names as a drawing of its own, which the page keeps in view."""
        boxes = (
            fragment(
                element("rect", x=x - 62, y=6, width=124, height=_HEAD - 12, rx=7, class_="head"),
                element("text", name, x=x, y=_HEAD / 2 + 4, class_="name"),
            )
            for name, x in self.positions.items()
        )
        return _drawing("heads", self.width, _HEAD, *boxes)


def sequence(envelopes: Sequence[Envelope[Any]], *, states: Sequence[StateEntry] = ()) -> Markup:
    """Draw the messages in the given order, with a line across where the change entered a state.

    Each arrow links to the element with the id `message-<message id>`.
    """
    messages = spoken(envelopes)
    if not messages:
        return element("p", "No message was sent.", class_="empty")
    lanes = _Lanes.of(messages)
    began = messages[0].sent_at
    rows: list[Markup] = []
    y = 8.0
    for row in _in_order(messages, states):
        if isinstance(row, StateEntry):
            rows.append(_band(row, y, lanes))
            y += _BAND
        else:
            rows.append(_arrow(row, y + _ROW / 2, lanes, began))
            y += _ROW
    lifelines = (element("line", x1=x, x2=x, y1=0, y2=y + 8, class_="lifeline") for x in lanes.positions.values())
    return fragment(lanes.heads(), _drawing("exchange", lanes.width, y + 12, *lifelines, *rows))


def _in_order(messages: Sequence[Envelope[Any]], states: Sequence[StateEntry]) -> Iterator[Envelope[Any] | StateEntry]:
    """Put the states among the messages.

    A state's moment is that of the commit, which comes just after the coordinator has written what it says upon
    entering; it is shown before that, and after the message that led to it.
    """
    upcoming = list(states)
    places: list[int] = []
    for entry in upcoming:
        place = sum(message.sent_at <= entry.at for message in messages)
        while place > 0 and messages[place - 1].sender == COORDINATOR:
            place -= 1
        places.append(max(place, places[-1] if places else 0))
    for index, message in enumerate(messages):
        while places and places[0] <= index:
            places.pop(0)
            yield upcoming.pop(0)
        yield message
    yield from upcoming


def _drawing(kind: str, width: float, height: float, *children: Markup) -> Markup:
    return element("svg", *children, class_=kind, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=kind)


def _band(entry: StateEntry, y: float, lanes: _Lanes) -> Markup:
    middle = y + _BAND / 2 + 2
    return element(
        "g",
        element("line", x1=0, x2=lanes.width, y1=middle, y2=middle, class_="band"),
        element("text", entry.state, x=4, y=middle - 4, class_="state"),
        class_="entered",
    )


def _arrow(envelope: Envelope[Any], y: float, lanes: _Lanes, began: datetime) -> Markup:
    start, end = lanes.positions[envelope.sender], lanes.positions[envelope.receiver]
    middle = (start + end) / 2 if start != end else start + _LOOP
    offset = clock_offset((envelope.sent_at - began).total_seconds())
    detail = line(telling(envelope.payload))
    room = int((max(abs(end - start), _NARROWEST) - 12) / _SMALL_CHARACTER)
    about = f"{envelope.sender} → {envelope.receiver}: {envelope.type}"
    return element(
        "a",
        element("title", f"{about}\n{detail}" if detail else about),
        element("text", offset, x=_GUTTER - 14, y=y + 4, class_="offset"),
        *(_loop(start, y) if start == end else _straight(start, end, y)),
        element("text", envelope.type, x=middle, y=y - 6, class_="label"),
        element("text", shortened(detail, room), x=middle, y=y + 13, class_="detail") if detail else None,
        href=f"#message-{envelope.id}",
        class_=f"arrow {tone(envelope.payload)}",
        data_message=envelope.id,
    )


def _straight(start: float, end: float, y: float) -> tuple[Markup, ...]:
    direction = 1 if end > start else -1
    return (
        element("line", x1=start, x2=end - 7 * direction, y1=y, y2=y, class_="shaft"),
        element("path", d=f"M{end:g} {y:g} l{-9 * direction} -4.5 v9 z", class_="tip"),
    )


def _loop(x: float, y: float) -> tuple[Markup, ...]:
    """Draw a message that an agent sends to itself."""
    return (
        element("path", d=f"M{x:g} {y - 5:g} h{_LOOP / 2:g} v10 h{7 - _LOOP / 2:g}", class_="shaft"),
        element("path", d=f"M{x:g} {y + 5:g} l9 -4.5 v9 z", class_="tip"),
    )
