"""Who decided what, and which decisions did not count."""

from __future__ import annotations

__all__ = ["approvals"]

from interlock.agents.report.approval import Approval, Refusal
from interlock.agents.report.markup import Markup, element, fragment
from interlock.agents.report.report import Report
from interlock.agents.report.sections.layout import code, empty, moment, section, table


def approvals(report: Report) -> Markup:
    """Every gate with its decision, then every refusal."""
    gates = [element("article", *_gate(approval), class_="gate") for approval in report.approvals]
    refused: Markup | None = None
    if report.refusals:
        headings = ("When (UTC)", "By", "Refused because", "For digest")
        rows = (_refusal(refusal) for refusal in report.refusals)
        refused = fragment(element("h3", "Decisions that did not count"), table(headings, rows))
    if not gates and refused is None:
        return section("approvals", "Approvals", empty("Nobody was asked."))
    return section("approvals", "Approvals", *gates, refused)


def _gate(approval: Approval) -> tuple[Markup, ...]:
    by = f" by {approval.approver}" if approval.approver else ""
    decided = fragment(" on ", moment(approval.decided_at), " UTC") if approval.decided_at else None
    return (
        element(
            "p",
            element("span", f"{approval.state}{by}", class_=f"gate-state {approval.state}"),
            element("strong", f"{approval.subject} · {approval.environment}"),
            decided,
        ),
        element("p", approval.summary),
        element("p", f"Reason: {approval.reason}") if approval.reason else fragment(),
        element(
            "p",
            code(approval.digest),
            f" · asked for by {approval.author or 'nobody named'} · valid until ",
            moment(approval.expires_at),
            " UTC",
            class_="empty",
        ),
    )


def _refusal(refusal: Refusal) -> tuple[Markup | str, ...]:
    reason = fragment(refusal.reason, element("small", refusal.code))
    return (moment(refusal.at), refusal.approver, reason, code(refusal.digest))
