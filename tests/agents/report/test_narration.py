"""The lines on the terminal: aligned, plain where there is no terminal, and never steered by what they tell."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from interlock.agents.report.folder import write
from interlock.agents.report.narration import Narrator
from interlock.agents.report.report import Report
from interlock.protocol import Envelope
from interlock.protocol.message import Message
from interlock.protocol.messages.approval import ApprovalRefused
from interlock.protocol.messages.task import MissingInput


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def tell(stream: io.StringIO, story: Any, *, width: int | None = None) -> list[str]:
    narrator = Narrator(stream, started=story.envelopes[0].sent_at, width=width)
    for envelope in story.envelopes:
        narrator.message(envelope)
    return stream.getvalue().splitlines()


def test_each_message_is_one_line_with_time_both_ends_type_and_detail(story: Any) -> None:
    told = tell(io.StringIO(), story)

    assert len(told) == len(story.envelopes)
    assert told[0].split(maxsplit=5) == [
        "+0.00",
        "console",
        "→",
        "coordinator",
        "change_requested",
        "PROJ-140, asked for by jiyoung",
    ]
    assert len({row.index("→") for row in told}) == 1


def test_without_a_terminal_there_are_no_escape_sequences_and_nothing_is_cut(
    monkeypatch: pytest.MonkeyPatch, story: Any
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")

    told = tell(io.StringIO(), story, width=40)

    assert "\x1b" not in "".join(told)
    assert told[-1].endswith("security-agent, qa-agent, deploy-agent")


def test_on_a_terminal_a_line_that_is_too_long_is_cut(story: Any) -> None:
    told = tell(Terminal(), story, width=80)
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", row) for row in told]

    assert len(told) == len(story.envelopes)
    assert max(map(len, plain)) <= 80


def test_presence_is_passed_over(presence: tuple[Envelope[Message], ...], story: Any) -> None:
    story.envelopes[:] = presence

    assert tell(io.StringIO(), story) == []


def test_text_from_people_steers_neither_terminal_nor_markup(story: Any, report: Report, tmp_path: Path) -> None:
    hostile = "[red]\x1b[2J\x1b]0;owned\x07\r\nsecond line\u202e[/red]"
    refusal = ApprovalRefused.model_construct(approval_id="x", approver=hostile, code="x", reason=hostile)
    envelope = story.envelopes[0].model_copy(update={"payload": refusal, "type": "approval_refused"})
    files = write(tmp_path, report, envelopes=story.envelopes, diagram=None)
    stream = io.StringIO()
    narrator = Narrator(stream, started=story.now)

    narrator.message(envelope)
    narrator.state(hostile, at=story.now)
    narrator.note(hostile)
    narrator.summary(report.model_copy(update={"reason": hostile}), files)

    told = stream.getvalue()
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", told)
    assert told.count("[red][2J]0;owned second line[/red]") == 5


def test_states_are_told_with_their_time(story: Any) -> None:
    stream = io.StringIO()

    Narrator(stream, started=story.now).state("verified_test", at=story.now + timedelta(seconds=62.5))

    assert stream.getvalue() == " +1:02.50  ● verified test\n"


def test_the_summary_says_how_it_ended_and_where_to_read_on(report: Report, story: Any, tmp_path: Path) -> None:
    files = write(tmp_path, report, envelopes=story.envelopes, diagram=None)
    stream = io.StringIO()
    missing = MissingInput(field="backupRetentionDays", question="For how many days?", cause="missing")

    Narrator(stream, started=story.now, width=200).summary(report.model_copy(update={"missing": (missing,)}), files)

    told = stream.getvalue()
    assert "PROJ-140 accepted" in told
    assert "143.81 USD a month of 150 USD budgeted; 1 line without a price" in told
    assert "13 pass, 1 waived, 1 unknown" in told
    assert "backupRetentionDays: For how many days?" in told
    assert str(files.html) in told
