"""Draws a workflow from its own table, so that no picture can be out of date."""

from __future__ import annotations

__all__ = ["mermaid"]

from typing import Any

from interlock.agents.workflow.workflow import Workflow


def mermaid(kind: type[Workflow[Any]]) -> str:
    """Return the workflow as a Mermaid state diagram; steps that are possible in any state are left out."""
    lines = ["stateDiagram-v2", f"    [*] --> {kind.table.initial.name}"]
    arrows: dict[tuple[str, str], list[str]] = {}
    for transition in kind.table.transitions:
        for source in transition.sources:
            for target in transition.targets:
                labels = arrows.setdefault((source.name, target.name), [])
                if transition.label not in labels:
                    labels.append(transition.label)
    lines += [f"    {source} --> {target}: {', '.join(labels)}" for (source, target), labels in arrows.items()]
    lines += [f"    {name} --> [*]" for name, state in kind.table.states.items() if state.final]
    return "\n".join(lines) + "\n"
