"""P4-P6: moves the ticket on, writes the code, plans it for rehearsal and target, and asks security to review it."""

from __future__ import annotations

__all__ = ["Planning"]

import tempfile
from datetime import timedelta
from pathlib import Path

import anyio

from interlock.agents.agent import Answer, to
from interlock.agents.context import Context
from interlock.agents.devops.systems import DevopsSystems
from interlock.agents.systems.plan_bundle import PlanBundle
from interlock.agents.systems.provisioning import Plan
from interlock.agents.systems.terraform.rendering import render
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.message import hours
from interlock.protocol.messages.handoff import PLAN_SCOPE, SecurityReviewRequest
from interlock.protocol.messages.provisioning import PlanReady, PlanRequest, PlanSummary
from interlock.protocol.roles import SECURITY
from interlock.protocol.values import Environment

_PLAN_LIFETIME = hours(4)


class Planning:
    """Writes and plans; changes nothing but the ticket's status."""

    def __init__(self, systems: DevopsSystems) -> None:
        self._systems = systems

    async def plan(self, request: PlanRequest, context: Context) -> tuple[Answer, ...]:
        """Answer with the plan, and hand its immutable revision to security."""
        issue, spec = request.jira_issue, request.spec
        await context.once(
            "in-progress", lambda: self._systems.jira.transition(issue, "In Progress"), request=issue, repeatable=True
        )
        await context.progress("in_progress")
        findings = await self._check_format(spec, issue)
        await context.progress("coded")
        plans = {spec.environment: await self._systems.engine.plan(spec, issue=issue)}
        if spec.environment is Environment.PRODUCTION:
            rehearsal = spec.rehearsal()
            plans[rehearsal.environment] = await self._systems.engine.plan(rehearsal, issue=issue)
        revision = await self._systems.artifacts.put(issue, PlanBundle(plans).files())
        target = plans[spec.environment]
        rehearsed = plans.get(Environment.TEST) if spec.environment is Environment.PRODUCTION else None
        ready = PlanReady(
            jira_issue=issue,
            environment=spec.environment,
            plan_digest=target.digest,
            revision=revision.digest,
            terraform=revision.address,
            engine=target.engine,
            creates=_creates(target),
            updates=target.count("update"),
            destroys=_destroys(target),
            changes=target.changes,
            findings=(*findings, *target.findings),
            rehearsal=_summary(rehearsed) if rehearsed else None,
            expires_at=context.clock.now() + timedelta(seconds=_PLAN_LIFETIME),
        )
        return ready, to(SECURITY, _review(issue, spec, revision.address))

    async def _check_format(self, spec: DatabaseSpec, issue: str) -> tuple[str, ...]:
        """Hold the code to `terraform fmt`, whichever engine applies it."""
        code = render(spec, issue=issue)
        if not self._systems.terraform.available():
            return ("terraform is not installed: the code's format was not checked",)
        with tempfile.TemporaryDirectory(prefix="interlock-code-") as folder:
            for name, text in code.items():
                await anyio.Path(folder, name).write_text(text, encoding="utf-8")
            badly_formatted = await self._systems.terraform.fmt_check(Path(folder))
        return tuple(f"terraform fmt would change {name}" for name in badly_formatted)


def _creates(plan: Plan) -> int:
    return plan.count("create", "replace")


def _destroys(plan: Plan) -> int:
    return plan.count("destroy", "replace")


def _summary(plan: Plan) -> PlanSummary:
    return PlanSummary(
        environment=plan.spec.environment,
        plan_digest=plan.digest,
        creates=_creates(plan),
        updates=plan.count("update"),
        destroys=_destroys(plan),
        changes=plan.changes,
    )


def _review(issue: str, spec: DatabaseSpec, address: str) -> SecurityReviewRequest:
    return SecurityReviewRequest(
        jira_issue=issue,
        scope=PLAN_SCOPE,
        resources=(
            f"RDS {spec.engine.label} {spec.identifier}",
            "Security groups",
            "KMS key",
            "IAM access to the secret",
        ),
        concerns=("Verify no public access", "Check encryption configuration", "Review IAM permissions"),
        terraform=address,
    )
