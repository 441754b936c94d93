"""The texts that a ticket ends with, in Jira wiki markup; what came from people or machines is escaped."""

from __future__ import annotations

__all__ = ["accepted_comment", "ended_comment", "plan_output"]

from interlock.agents.devops.wiki_markup import plain
from interlock.agents.systems.aws.database import DatabaseInstance
from interlock.protocol.messages.change import TicketCloseRequest
from interlock.protocol.values import CheckVerdict

_MARKS = {
    CheckVerdict.PASS: "(/)",
    CheckVerdict.FAIL: "(x)",
    CheckVerdict.WAIVED: "(!)",
    CheckVerdict.UNKNOWN: "(?)",
}


def accepted_comment(request: TicketCloseRequest, instance: DatabaseInstance) -> str:
    """Return the comment of a change that every peer has accepted, with the specification's sections."""
    spec, estimate = request.spec, request.estimate
    assert spec is not None
    assert estimate is not None
    budget = estimate.budget
    against = "no budget given"
    if budget is not None:
        against = f"{'over' if estimate.over_budget else 'within'} the budget of {budget.monthly} {budget.currency}"
    lines = [
        "h2. Infrastructure Deployed (/)",
        "",
        "h3. Resources Created",
        f"* RDS Instance: {{{{{instance.identifier}}}}}",
        f"** Endpoint: {{{{{instance.endpoint}:{instance.port}}}}}",
        f"** Status: {instance.status}",
        f"** Engine: {spec.engine.label} {instance.engine_version}, {instance.instance_class}",
        f"** Multi-AZ: {'enabled' if instance.multi_az else 'disabled'}",
        f"** Backup: {instance.backup_retention_days} days",
        "",
        "h3. Security Configuration",
        *_checks(request, "K"),
        "",
        "h3. State",
        f"* Plan: {{{{{request.plan_digest}}}}}",
        "",
        "h3. Monitoring",
        "* CloudWatch alarms:",
        *(f"** {plain(alarm)}" for alarm in request.alarms),
        "",
        "h3. Connection Info",
        "Stored in AWS Secrets Manager:",
        f"* Secret Name: {{{{{spec.secret_name}}}}}",
        "",
        "h3. Next Steps",
        "# Backend Agent: takes over the connection (done)",
        "# Security Agent: verifies the security configuration (done)",
        "# QA Agent: tests database connectivity (done)",
        "# Deploy Agent: checks the deployment environment (done)",
        "",
        "h3. Estimated Monthly Cost",
        f"{estimate.monthly} {estimate.currency} ({against})",
        f"Not priced: {plain(', '.join(estimate.unpriced) or 'nothing')}",
        f"Prices: {plain(estimate.source)}",
        "",
        "h3. Documentation",
        plain(request.page_url or "none"),
    ]
    return "\n".join(lines)


def ended_comment(request: TicketCloseRequest) -> str:
    """Return the comment of a change that ended otherwise: how, why, and what is there."""
    lines = [f"h2. Change {request.outcome}", "", plain(request.reason)]
    failed = [check for check in request.checks if check.verdict is not CheckVerdict.PASS]
    if failed:
        lines += ["", "h3. Checks that did not pass"]
        lines += [f"* {_MARKS[c.verdict]} {c.id} {plain(c.title)}: {plain(c.evidence)}" for c in failed]
    if request.missing:
        lines += ["", "h3. Still missing", *(f"* {gap.field}: {plain(gap.question)}" for gap in request.missing)]
    lines += ["", "Nothing was applied by this change." if request.plan_digest is None else _state_of(request)]
    return "\n".join(lines)


def plan_output(request: TicketCloseRequest) -> str:
    """Return the redacted output for the attachment: what was planned, checked and estimated; never a secret."""
    spec, estimate = request.spec, request.estimate
    assert spec is not None
    assert estimate is not None
    lines = [f"{request.jira_issue} {spec.identifier}", f"plan {request.plan_digest}", "", "specification:"]
    lines += [f"  {name} = {value}" for name, value in spec.model_dump(mode="json", by_alias=True).items()]
    lines += ["", "checks:"]
    lines += [f"  [{check.verdict}] {check.id} {check.title}: {check.evidence}" for check in request.checks]
    lines += ["", "cost per month:"]
    lines += [f"  {line.item}: {line.monthly} {estimate.currency}" for line in estimate.line_items]
    lines += [f"  {item}: not priced" for item in estimate.unpriced]
    return "\n".join(lines) + "\n"


def _checks(request: TicketCloseRequest, prefix: str) -> list[str]:
    latest = {check.id: check for check in request.checks if check.id.startswith(prefix)}
    return [f"* {_MARKS[check.verdict]} {check.id} {plain(check.title)}" for check in latest.values()]


def _state_of(request: TicketCloseRequest) -> str:
    return (
        f"The plan was {{{{{request.plan_digest}}}}}. Resources that were applied before the change ended stay as "
        "they are until people decide."
    )
