"""The page: one file that is well formed, asks nothing of the outside, and shows hostile text as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

import pytest

from interlock.agents.report.html import page
from interlock.agents.report.report import Report, Run
from interlock.agents.report.ticket import Ticket
from interlock.agents.systems.jira.issue import Issue
from interlock.protocol.values import CheckVerdict

HOSTILE = "\x1b[31m<script>alert('x')</script>\"><img src=x onerror=y> [red]&amp; \u202egnp.exe"


class Outline(HTMLParser):
    """Reads a page strictly: every element is closed, in the order of opening."""

    VOID = frozenset({"br", "img", "meta"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(html: str) -> Outline:
    parsed = Outline()
    parsed.feed(html)
    parsed.close()
    assert parsed.open == []
    return parsed


@pytest.fixture
def html(report: Report, story: Any, picture: bytes) -> str:
    return page(report, envelopes=story.envelopes, diagram=picture)


def test_every_element_is_closed(html: str) -> None:
    assert outline(html).tags.count("section") == 10


def test_nothing_is_loaded_from_anywhere(html: str) -> None:
    attributes = outline(html).attributes

    assert [value for name, value in attributes if name == "src" and not str(value).startswith("data:image/png")] == []
    assert [value for name, value in attributes if name == "href" and not str(value).startswith("#")] == []
    assert not re.search(r"@import|url\(", html)
    assert any(name == "content" and str(value).startswith("default-src 'none'") for name, value in attributes)


def test_links_lead_to_elements_of_the_page(html: str) -> None:
    attributes = outline(html).attributes
    targets = {f"#{value}" for name, value in attributes if name == "id"}

    assert {value for name, value in attributes if name == "href"} <= targets


def test_ids_occur_once(html: str) -> None:
    ids = [value for name, value in outline(html).attributes if name == "id"]

    assert len(ids) == len(set(ids))


def test_hostile_text_from_the_ticket_is_shown_as_text(report: Report, story: Any) -> None:
    issue = Issue(
        key=HOSTILE,
        project="PROJ",
        issue_type="x",
        summary=HOSTILE,
        description="",
        status=HOSTILE,
        attachments=(HOSTILE,),
    )
    hostile = report.model_copy(
        update={
            "jira": Ticket.of(issue, history=()),
            "reason": HOSTILE,
            "notes": (HOSTILE,),
            "resources": {HOSTILE: {HOSTILE: HOSTILE}},
        }
    )

    html = page(hostile, envelopes=story.envelopes, diagram=None)

    assert "script" not in outline(html).tags
    assert "onerror" not in {name for name, _ in outline(html).attributes}
    assert "&lt;script&gt;" in html
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_korean_text_stays_as_it_is(html: str) -> None:
    assert "<h1>프로덕션 데이터베이스 RDS 설정</h1>" in html


def test_unknown_does_not_look_like_passed(html: str) -> None:
    assert 'class="verdict unknown">? unknown' in html
    assert 'class="verdict pass">✓ pass' in html


def test_the_gravest_verdict_marks_its_group(report: Report, story: Any) -> None:
    again = report.checks[0].model_copy(update={"verdict": CheckVerdict.FAIL})

    html = page(report.model_copy(update={"checks": (*report.checks, again)}), envelopes=story.envelopes, diagram=None)

    assert '<tbody class="fail"><tr class="pass"><th rowspan="3" scope="rowgroup"><code>K1' in html


def test_the_checklist_is_ordered_by_number(html: str) -> None:
    checklist = html[html.index('id="checks"') :]
    positions = [
        checklist.index(f"<code>{identifier}</code>") for identifier in ("K1", "K2", "K8", "K10", "K19", "engine")
    ]

    assert positions == sorted(positions)


def test_what_has_no_price_is_listed_beside_the_sum(html: str) -> None:
    assert "<li>data transfer out of the region</li>" in html
    assert "143.81 USD a month, within the budget of 150.00 USD." in html


def test_a_refused_decision_is_shown(html: str) -> None:
    assert "Decisions that did not count" in html
    assert "<small>own_change</small>" in html


def test_a_change_of_which_nothing_is_known_still_has_a_page(ticket: Ticket, run: Run) -> None:
    broken = Report.build([], approvals=(), audit=(), ticket=ticket, resources={}, run=run)

    html = page(broken, envelopes=(), diagram=None)

    assert "No plan was made." in html
    assert outline(html).tags.count("svg") == 0
