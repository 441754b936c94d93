"""What the agents really said to each other."""

from __future__ import annotations

__all__ = ["messages"]

import json
from collections.abc import Sequence
from typing import Any

from interlock.agents.report.markup import Markup, element, fragment
from interlock.agents.report.report import Report
from interlock.agents.report.sections.layout import document, fold, section
from interlock.agents.report.sequence import sequence
from interlock.agents.report.telling import telling
from interlock.agents.report.text import clock_offset, counted, line
from interlock.agents.report.tone import Tone, spoken
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope

_LEGEND = (
    (Tone.REQUEST, "request"),
    (Tone.REPLY, "reply"),
    (Tone.EVENT, "event"),
    (Tone.TROUBLE, "refusal or failure"),
)


def messages(report: Report, envelopes: Sequence[Envelope[Any]]) -> Markup:
    """The sequence diagram, and below it each message in full; its arrows lead there."""
    shown = spoken(envelopes)
    entries = [_entry(envelope, (envelope.sent_at - shown[0].sent_at).total_seconds()) for envelope in shown]
    lead = f"{counted(len(shown), 'message')}, each as it was sent; an arrow leads to its message."
    legend = element(
        "p", *(element("span", meaning, class_=f"key-{kind}") for kind, meaning in _LEGEND), class_="legend"
    )
    return section(
        "messages",
        "Messages",
        legend,
        element("figure", sequence(envelopes, states=report.states), class_="sequence"),
        fold("All messages in full", *entries),
        lead=lead,
    )


def _entry(envelope: Envelope[Any], offset: float) -> Markup:
    title = fragment(
        element("span", clock_offset(offset), class_="offset"),
        f"{envelope.sender} → {envelope.receiver} ",
        element("code", envelope.type),
        element("small", line(telling(envelope.payload))),
    )
    return fold(title, document(json.loads(encode(envelope))), anchor=f"message-{envelope.id}")
