"""The port through which infrastructure is planned and applied; it knows no engine.

Two engines stand behind it: Terraform, and the AWS API directly where no provider plugin is to be had. Both give
plans as exact bytes, so that one digest binds what was reviewed, what was approved and what is applied.
"""

from __future__ import annotations

__all__ = ["Plan", "PlanStaleError", "ProvisioningEngine", "Reconciliation", "digest_of"]

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from interlock.protocol.errors import PermanentError
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.messages.provisioning import AppliedResource, ResourceChange
from interlock.protocol.values import CheckResult


def digest_of(content: bytes) -> str:
    """Return `sha256:<hex>` of exact bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be changed, as the exact bytes that will be applied."""

    engine: str
    spec: DatabaseSpec
    document: bytes
    """What is hashed, approved and applied: a saved Terraform plan, or the direct engine's canonical JSON. Secret."""
    changes: tuple[ResourceChange, ...]
    """The same for people and reviewers, without secret values."""
    code: Mapping[str, str]
    """The infrastructure code, by file name."""
    findings: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The digest that an approval is bound to."""
        return digest_of(self.document)

    def count(self, *actions: Literal["create", "update", "replace", "destroy", "none"]) -> int:
        """Return how many resources are changed in one of these ways."""
        return sum(change.action in actions for change in self.changes)


class PlanStaleError(PermanentError):
    """Raised when the world is no longer the one that the plan was made for; nothing was changed."""

    def __init__(self, planned: str, observed: str, diff: tuple[str, ...]) -> None:
        self.planned, self.observed, self.diff = planned, observed, diff
        super().__init__(f"plan {planned} is stale: {diff}; the world now gives {observed}, make and approve that plan")


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What the real world says about a plan whose apply ended unknown."""

    outcome: Literal["applied", "partly_applied", "not_applied"]
    outstanding: tuple[str, ...]
    """Addresses of resources that are not as planned."""


class ProvisioningEngine(Protocol):
    """Plans and applies one database; every call looks at the world first, none trusts a memory of it."""

    @property
    def name(self) -> str:
        """`terraform` or `aws-direct`; stands in every report."""
        ...

    async def plan(self, spec: DatabaseSpec, *, issue: str) -> Plan:
        """Compare the specification with the world and return what would change. Changes nothing.

        The same specification and the same world give the same bytes.
        """
        ...

    async def apply(self, plan: Plan, *, approved_digest: str, issue: str) -> tuple[AppliedResource, ...]:
        """Apply the plan's exact bytes and read every resource back.

        Raises PermanentError when the bytes do not hash to the approved digest, PlanStaleError when the world has
        changed since, UnknownOutcomeError when it may have been applied in part.
        """
        ...

    async def reconcile(self, plan: Plan) -> Reconciliation:
        """Look at what of this plan is really there. Changes nothing."""
        ...

    async def verify(self, spec: DatabaseSpec) -> tuple[CheckResult, ...]:
        """Compare every property of the specification with what the provider reports."""
        ...
