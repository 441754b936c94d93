"""The sequence diagram: one arrow per real message, with the states where they were entered."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from interlock.agents.report.sequence import sequence
from interlock.agents.report.timeline import StateEntry
from interlock.agents.report.tone import spoken
from interlock.protocol import Envelope
from interlock.protocol.message import Message
from interlock.protocol.messages.task import TaskFailed


def arrows(drawing: str) -> list[str]:
    return re.findall(r'data-message="([^"]+)"', drawing)


def test_each_message_is_one_arrow_in_the_order_of_sending(story: Any) -> None:
    assert arrows(sequence(story.envelopes)) == [envelope.id for envelope in story.envelopes]


def test_presence_is_left_out(story: Any, presence: tuple[Envelope[Message], ...]) -> None:
    mixed = (*presence, *story.envelopes)

    assert arrows(sequence(mixed)) == [envelope.id for envelope in story.envelopes]
    assert spoken(presence) == ()


def test_each_participant_has_one_lifeline(story: Any) -> None:
    drawing = sequence(story.envelopes)
    names = re.findall(r'class="name">([^<]+)<', drawing)

    assert names == [
        "console",
        "coordinator",
        "devops-agent",
        "backend-agent",
        "security-agent",
        "qa-agent",
        "deploy-agent",
    ]
    assert drawing.count('class="lifeline"') == len(names)


def test_requests_replies_and_refusals_look_different(story: Any) -> None:
    drawing = sequence(story.envelopes)

    for kind in ("request", "reply", "event", "trouble"):
        assert f'class="arrow {kind}"' in drawing


def test_a_state_stands_between_what_led_to_it_and_what_the_coordinator_said_upon_it(story: Any) -> None:
    asked, ordered = story.envelopes[:2]
    committed = StateEntry(state="analysing", at=ordered.sent_at + timedelta(milliseconds=3))

    drawing = sequence(story.envelopes, states=[committed])

    assert drawing.index(asked.id) < drawing.index(">analysing<") < drawing.index(ordered.id)


def test_a_state_after_the_last_message_is_drawn_at_the_end(story: Any) -> None:
    later = StateEntry(state="expired", at=story.now + timedelta(hours=1))

    assert ">expired<" in sequence(story.envelopes[:1], states=[later])


def test_hostile_text_does_not_become_markup(story: Any) -> None:
    story.say("qa-agent", "qa-agent", TaskFailed(code="x", reason="</title></svg><script>alert(1)</script>"))

    drawing = sequence(story.envelopes)

    assert "<script" not in drawing
    assert drawing.count("</svg>") == 2


def test_without_messages_it_says_so() -> None:
    assert "No message was sent." in sequence(())
