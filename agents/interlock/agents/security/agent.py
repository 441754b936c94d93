"""The security agent: reviews plans before they are applied, and the real resources afterwards."""

from __future__ import annotations

__all__ = ["security_agent"]

import json
from collections.abc import Iterable
from typing import Literal

from interlock.agents.agent import Agent, Answer, to
from interlock.agents.context import Context
from interlock.agents.security.plan_bytes import matches_bytes
from interlock.agents.security.review import review_plan
from interlock.agents.systems.aws.artifacts import ArtifactStore
from interlock.agents.systems.aws.inspection import inspect
from interlock.agents.systems.aws.session import Aws
from interlock.agents.systems.plan_bundle import PlanBundle
from interlock.agents.systems.provisioning import digest_of
from interlock.protocol.messages.handoff import PLAN_SCOPE, Finding, SecurityReviewRequest, SecurityReviewResult
from interlock.protocol.roles import COORDINATOR, SECURITY
from interlock.protocol.values import CheckResult, CheckVerdict, Environment


def security_agent(artifacts: ArtifactStore, aws: Aws) -> Agent:
    """Return the security agent. What it says it checked, it read itself: the revision's bytes, and AWS."""
    agent = Agent(SECURITY)

    @agent.on
    async def review(request: SecurityReviewRequest, context: Context) -> tuple[Answer, ...]:
        """Answer with a verdict, to who asked and to the coordinator."""
        await context.progress("in_review", to=COORDINATOR)
        bundle = PlanBundle.parse(await artifacts.read(request.terraform))
        if request.scope == PLAN_SCOPE:
            checks = tuple(
                check.model_copy(update={"id": check.id if environment is not Environment.TEST else f"test-{check.id}"})
                for environment, plan in bundle.plans.items()
                for check in (matches_bytes(plan), *review_plan(plan.spec, plan.changes))
            )
            result = _result(request, "plan", checks, digest=_revision(request.terraform))
        else:
            checks = await inspect(aws, bundle.target.spec)
            evidence = json.dumps([check.model_dump(mode="json") for check in checks], sort_keys=True)
            result = _result(request, "resources", checks, digest=digest_of(evidence.encode()))
        return result, to(COORDINATOR, result)

    return agent


def _revision(address: str) -> str:
    """Return the digest in a content-addressed address, which the artifact store has compared with the bytes."""
    return f"sha256:{address.rstrip('/').rsplit('/', 1)[-1]}"


def _result(
    request: SecurityReviewRequest,
    phase: Literal["plan", "resources"],
    checks: tuple[CheckResult, ...],
    *,
    digest: str,
) -> SecurityReviewResult:
    findings = tuple(_findings(checks))
    return SecurityReviewResult(
        jira_issue=request.jira_issue,
        phase=phase,
        verdict="rejected" if any(finding.severity == "critical" for finding in findings) else "approved",
        findings=findings,
        reviewed_digest=digest,
        checks=checks,
    )


def _findings(checks: Iterable[CheckResult]) -> Iterable[Finding]:
    """A failed check is critical; an unknown one is reported, and never counts as pass."""
    for check in checks:
        if check.verdict is CheckVerdict.FAIL:
            yield Finding(check=check.id, severity="critical", text=f"{check.title}: {check.evidence}"[:500])
        elif check.verdict is CheckVerdict.UNKNOWN:
            yield Finding(check=check.id, severity="medium", text=f"{check.title} is unknown: {check.evidence}"[:500])
