"""Draws a workflow from its own table, so that no picture can be out of date."""

from __future__ import annotations

__all__ = ["document", "mermaid"]

import inspect
from typing import Any

from interlock.agents.workflow.workflow import Workflow


def document(kind: type[Workflow[Any]], *, command: str) -> str:
    """Return a Markdown page about a workflow: what it is, its diagram, and who may keep each state waiting how long.

    `command` is what prints the page again.
    """
    lines = [
        f"# The {kind.kind} workflow",
        "",
        f"<!-- Printed by `{command}`; a test compares. -->",
        "",
        inspect.getdoc(kind) or "",
        "",
        "```mermaid",
        *mermaid(kind).splitlines(),
        "```",
        "",
        "| state | waits for | deadline |",
        "|---|---|---|",
    ]
    for name, state in kind.table.states.items():
        lines.append(f"| `{name}` | {state.waits_for or '-'} | {_period(state.deadline)} |")
    return "\n".join(lines) + "\n"


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
    order = list(kind.table.states)
    in_order = sorted(arrows, key=lambda ends: (order.index(ends[0]), order.index(ends[1])))
    lines += [f"    {ends[0]} --> {ends[1]}: {', '.join(arrows[ends])}" for ends in in_order]
    lines += [f"    {name} --> [*]" for name, state in kind.table.states.items() if state.final]
    return "\n".join(lines) + "\n"


def _period(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"
