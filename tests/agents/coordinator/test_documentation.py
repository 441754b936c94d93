"""The page about the workflow is the workflow's own account of itself."""

from __future__ import annotations

from pathlib import Path

from interlock.agents.coordinator.__main__ import page

PAGE = Path(__file__).parents[3] / "docs" / "workflows" / "change.md"


def test_the_page_about_the_change_workflow_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), f"run: python -m interlock.agents.coordinator > {PAGE.name}"
