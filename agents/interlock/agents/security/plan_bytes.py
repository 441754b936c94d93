"""Whether what a reviewer is shown is what would be applied: the plan's bytes decide, not a summary beside them."""

from __future__ import annotations

__all__ = ["matches_bytes"]

from interlock.agents.systems.aws.document import PlanDocument
from interlock.agents.systems.provisioning import Plan
from interlock.protocol.errors import PermanentError
from interlock.protocol.values import CheckResult, CheckVerdict

_DIRECT = "aws-direct"


def matches_bytes(plan: Plan) -> CheckResult:
    """Compare specification and changes with the document that the approval's digest is of.

    A saved Terraform plan can be opened by Terraform only, so for that engine the result is unknown.
    """
    if plan.engine != _DIRECT:
        return _check(CheckVerdict.UNKNOWN, f"a saved plan of {plan.engine} was not opened by the reviewer")
    try:
        document = PlanDocument.parse(plan.document)
    except PermanentError as error:
        return _check(CheckVerdict.FAIL, f"the document cannot be read: {error}")
    if document.spec != plan.spec:
        return _check(CheckVerdict.FAIL, "the document is for another specification than the one shown")
    if tuple(resource.change() for resource in document.resources) != plan.changes:
        return _check(CheckVerdict.FAIL, "the document makes other changes than those shown")
    return _check(CheckVerdict.PASS, f"{len(plan.changes)} changes read from the bytes of {plan.digest}")


def _check(verdict: CheckVerdict, evidence: str) -> CheckResult:
    return CheckResult(
        id="plan-bytes", title="What is shown is what would be applied", verdict=verdict, evidence=evidence[:500]
    )
