"""Terraform where its AWS provider can be had, the AWS API directly elsewhere; reports say which one ran."""

from __future__ import annotations

__all__ = ["AutomaticEngine"]

import logging

from interlock.agents.systems.aws.engine import AwsDirectEngine
from interlock.agents.systems.provisioning import Plan, ProvisioningEngine, Reconciliation
from interlock.agents.systems.terraform.engine import TerraformEngine
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.messages.provisioning import AppliedResource
from interlock.protocol.values import CheckResult

_log = logging.getLogger(__name__)


class AutomaticEngine:
    """Decides once, by trying to install the provider; a plan is always applied by the engine that made it."""

    def __init__(self, terraform: TerraformEngine, direct: AwsDirectEngine) -> None:
        self._terraform = terraform
        self._direct = direct
        self._chosen: ProvisioningEngine | None = None

    def __repr__(self) -> str:
        return f"AutomaticEngine({self.name})"

    @property
    def name(self) -> str:
        """The engine that was decided for; `auto` before that."""
        return self._chosen.name if self._chosen else "auto"

    async def plan(self, spec: DatabaseSpec, *, issue: str) -> Plan:
        """See ProvisioningEngine. The first plan decides."""
        return await (await self._decide(spec, issue)).plan(spec, issue=issue)

    async def apply(self, plan: Plan, *, approved_digest: str, issue: str) -> tuple[AppliedResource, ...]:
        """See ProvisioningEngine."""
        return await self._maker(plan).apply(plan, approved_digest=approved_digest, issue=issue)

    async def reconcile(self, plan: Plan) -> Reconciliation:
        """See ProvisioningEngine."""
        return await self._maker(plan).reconcile(plan)

    async def verify(self, spec: DatabaseSpec) -> tuple[CheckResult, ...]:
        """See ProvisioningEngine. Read from AWS itself, whoever applied it."""
        return await self._direct.verify(spec)

    def _maker(self, plan: Plan) -> ProvisioningEngine:
        return self._terraform if plan.engine == self._terraform.name else self._direct

    async def _decide(self, spec: DatabaseSpec, issue: str) -> ProvisioningEngine:
        if self._chosen is None:
            availability = await self._terraform.provider_available(spec, issue=issue)
            self._chosen = self._terraform if availability.available else self._direct
            _log.info("%s applies infrastructure: %s", self._chosen.name, availability.reason)
        return self._chosen
