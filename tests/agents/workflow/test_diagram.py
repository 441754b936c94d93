"""A workflow draws itself."""

from __future__ import annotations

from agents.workflow.loan import Loan
from interlock.agents.workflow.diagram import document, mermaid


def test_every_arrow_names_what_triggers_it() -> None:
    assert mermaid(Loan).splitlines() == [
        "stateDiagram-v2",
        "    [*] --> on_the_shelf",
        "    on_the_shelf --> lent: borrowed",
        "    lent --> lent: borrowed",
        "    lent --> missed: borrowed, timeout: overdue",
        "    back --> [*]",
    ]


def test_the_page_tells_who_may_keep_a_state_waiting_and_how_long() -> None:
    page = document(Loan, command="make loan")
    assert "One book in one reader's hands." in page
    assert "| `lent` | the reader | 1000 s |" in page
    assert "`make loan`" in page
