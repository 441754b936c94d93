"""The diagram of a change shows ways that the workflow really has."""

from __future__ import annotations

import re

from docs.snippets import ROOT
from interlock.agents.coordinator.change import Change
from interlock.agents.workflow.diagram import mermaid


def transitions(text: str) -> set[tuple[str, str]]:
    return set(re.findall(r"(?m)^    (\w+) --> (\w+)", text))


def test_every_transition_that_is_drawn_is_one_of_the_workflows() -> None:
    document = (ROOT / "docs" / "architecture.md").read_text()
    (drawn,) = re.findall(r"```mermaid\nstateDiagram-v2\n(.*?)```", document, re.DOTALL)

    assert len(transitions(drawn)) > 20
    assert transitions(drawn) - transitions(mermaid(Change)) == set()
