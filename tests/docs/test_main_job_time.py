"""The page about the main job's time has a row for each phase that is measured, and phases add up to the whole."""

from __future__ import annotations

import pytest

from benchmarks.main_job import PHASES, phases
from docs.snippets import ROOT

PAGE = ROOT / "docs" / "explanation" / "main-job-time.md"
NARRATION = (
    (1.0, "Working in /tmp/x"),
    (4.0, "The team is at work over RabbitMQ 3.10.8: coordinator 1"),
    (6.0, "   +5.00    devops-agent → coordinator    requirements_analysed   PostgreSQL 14"),
    (6.5, "   +5.50     coordinator → devops-agent   plan_request\n"),
    (7.0, "   +6.00     coordinator → devops-agent   infrastructure_apply    test"),
    (9.0, "   +8.00     coordinator → devops-agent   infrastructure_apply    production"),
)


def test_the_table_has_what_is_measured() -> None:
    rows = [line.split("|")[1].strip() for line in PAGE.read_text().splitlines() if line.startswith("| ")]

    assert rows[1:] == [*PHASES, "all of it", "CPU time"]


def test_each_phase_ends_where_its_line_arrives() -> None:
    found = phases(NARRATION, ended=12.0)

    assert found["sandbox and broker"] == pytest.approx(3.0)
    assert found["plan and its review"] == pytest.approx(0.5)
    assert found["rehearsal: apply and verify"] == pytest.approx(2.0)
    assert found["production: apply and verify"] == pytest.approx(3.0), "the run ended early"
    assert found["monitoring"] == 0
    assert sum(found[name] for name in PHASES) == pytest.approx(found["all of it"])
