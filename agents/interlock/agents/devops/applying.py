"""P7, P8: applies exactly what was approved, reads it back, verifies it, and looks when an outcome is unknown."""

from __future__ import annotations

__all__ = ["Applying"]

from pydantic import TypeAdapter

from interlock.agents.agent import Answer
from interlock.agents.context import Context
from interlock.agents.devops.systems import DevopsSystems
from interlock.agents.systems.plan_bundle import PlanBundle
from interlock.agents.systems.provisioning import Plan, PlanStaleError
from interlock.protocol.errors import PermanentError
from interlock.protocol.messages.provisioning import (
    AppliedResource,
    DriftDetected,
    InfrastructureApplied,
    InfrastructureApply,
    ReconciliationRequest,
    ReconciliationResult,
    VerificationRequest,
    VerificationResult,
)
from interlock.protocol.messages.task import TaskFailed
from interlock.protocol.values import CheckResult, CheckVerdict, Environment

_RESOURCES = TypeAdapter(tuple[AppliedResource, ...])


class _ApprovalExpiredError(PermanentError):
    """Raised when an apply would begin too late; nothing was applied."""


class Applying:
    """Executes plans. One approval leads to at most one apply, across restarts."""

    def __init__(self, systems: DevopsSystems) -> None:
        self._systems = systems

    async def apply(self, order: InfrastructureApply, context: Context) -> Answer:
        """Apply the approved bytes, or say why not; nothing is applied on a doubt."""
        plan = await self._planned(order.jira_issue, order.terraform, order.environment)
        if plan.digest != order.plan_digest:
            reason = f"the stored plan hashes to {plan.digest}, approved was {order.plan_digest}"
            return TaskFailed(code="digest_mismatch", reason=reason)
        await context.progress("applying", detail=f"{order.environment}: {order.plan_digest}")

        async def effect() -> object:
            # Not before: what an earlier attempt began in time has to be looked at, however late it is by now.
            if context.clock.now() >= order.approval_expires_at:
                raise _ApprovalExpiredError(f"approval {order.approval_id} has expired unused")
            applied = await self._systems.engine.apply(plan, approved_digest=order.plan_digest, issue=order.jira_issue)
            return _RESOURCES.dump_python(applied, mode="json")

        try:
            applied = await context.once(f"apply:{order.approval_id}", effect, request=order.plan_digest)
        except _ApprovalExpiredError as error:
            return TaskFailed(code="approval_expired", reason=str(error))
        except PlanStaleError as error:
            return DriftDetected(
                jira_issue=order.jira_issue,
                environment=order.environment,
                plan_digest=error.planned,
                observed_digest=error.observed,
                diff=tuple(line[:500] for line in error.diff),
            )
        return InfrastructureApplied(
            jira_issue=order.jira_issue,
            environment=order.environment,
            plan_digest=order.plan_digest,
            state_serial=context.fence,
            outputs_ref=f"secretsmanager:{order.spec.secret_name}",
            engine=plan.engine,
            resources=_RESOURCES.validate_python(applied),
        )

    async def verify(self, request: VerificationRequest, _context: Context) -> VerificationResult:
        """Compare every property with what the provider reports."""
        checks = await self._systems.engine.verify(request.spec)
        return VerificationResult(
            jira_issue=request.jira_issue,
            environment=request.environment,
            verdict=verdict_of(checks),
            checks=checks,
        )

    async def reconcile(self, request: ReconciliationRequest, _context: Context) -> ReconciliationResult:
        """Look at what is really there after an apply that ended unknown."""
        plan = await self._planned(request.jira_issue, request.terraform, request.environment)
        found = await self._systems.engine.reconcile(plan)
        return ReconciliationResult(
            jira_issue=request.jira_issue,
            environment=request.environment,
            plan_digest=request.plan_digest,
            outcome=found.outcome,
            outstanding=found.outstanding,
        )

    async def _planned(self, issue: str, address: str, environment: Environment) -> Plan:
        files = await self._systems.artifacts.read(address)
        plans = PlanBundle.parse(files).plans
        if environment not in plans:
            raise PermanentError(f"revision {address} of {issue} has no plan for {environment}")
        return plans[environment]


def verdict_of(checks: tuple[CheckResult, ...]) -> CheckVerdict:
    """Return fail when a check fails, unknown when one is unknown or none was made, and pass otherwise."""
    verdicts = {check.verdict for check in checks}
    if CheckVerdict.FAIL in verdicts:
        return CheckVerdict.FAIL
    return CheckVerdict.UNKNOWN if CheckVerdict.UNKNOWN in verdicts or not checks else CheckVerdict.PASS
