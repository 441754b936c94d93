"""What was to be changed, resource by resource."""

from __future__ import annotations

__all__ = ["plan"]

from interlock.agents.report.markup import Markup, element, fragment
from interlock.agents.report.report import Report
from interlock.agents.report.sections.layout import code, empty, fold, section, table
from interlock.protocol.messages.provisioning import PropertyChange, ResourceChange

_SIGNS = {"create": "+", "update": "~", "replace": "±", "destroy": "−", "none": "="}


def plan(report: Report) -> Markup:
    """The plan for the environment that the ticket asks for, and before it the rehearsal in the test environment."""
    made = report.plan
    if made is None:
        return section("plan", "Plan", empty("No plan was made."))
    lead = f"{made.environment} with {made.engine}: {_counts(made.creates, made.updates, made.destroys)}."
    rehearsal = None
    if made.rehearsal is not None:
        first = made.rehearsal
        summary = f"Rehearsal in {first.environment}: {_counts(first.creates, first.updates, first.destroys)}"
        rehearsal = fold(summary, _digest("Digest", first.plan_digest), *map(_change, first.changes))
    findings = element("ul", *(element("li", finding) for finding in made.findings)) if made.findings else None
    return section(
        "plan",
        "Plan",
        _digest("Digest", made.plan_digest),
        _digest("Revision", made.revision),
        _digest("Code", made.terraform),
        element("div", *map(_change, made.changes), class_="changes"),
        findings,
        rehearsal,
        lead=lead,
    )


def _counts(creates: int, updates: int, destroys: int) -> str:
    return f"{creates} to create, {updates} to update, {destroys} to destroy"


def _digest(name: str, value: str) -> Markup:
    return element("p", element("span", name, class_="key"), code(value), class_="digest")


def _change(change: ResourceChange) -> Markup:
    title = fragment(
        element("span", f"{_SIGNS[change.action]} {change.action}", class_=f"action {change.action}"),
        code(change.address),
    )
    if not change.properties:
        return element("p", title, class_="change")
    return fold(title, _properties(change))


def _properties(change: ResourceChange) -> Markup:
    if any(p.before is not None for p in change.properties):
        return table(
            ("Property", "Before", "After"), ((code(p.name), _value(p.before), _after(p)) for p in change.properties)
        )
    return table(("Property", "Value"), ((code(p.name), _after(p)) for p in change.properties))


def _after(change: PropertyChange) -> Markup:
    return _value(change.after)


def _value(value: str | None) -> Markup:
    return element("span", "known after apply", class_="empty") if value is None else fragment(value)
