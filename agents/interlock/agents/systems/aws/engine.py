"""Plans and applies a database by the AWS API itself, where no Terraform provider is to be had."""

from __future__ import annotations

__all__ = ["AwsDirectEngine"]

from collections.abc import Sequence

import anyio

from interlock.agents.systems.aws.database import DatabaseInstance, describe_database
from interlock.agents.systems.aws.desired import APPLICATION_ROLE, desired_resources
from interlock.agents.systems.aws.document import PlanDocument, PlannedResource
from interlock.agents.systems.aws.evidence import JsonDocument, raw_resources
from interlock.agents.systems.aws.network import find_network
from interlock.agents.systems.aws.reading import together
from interlock.agents.systems.aws.resource import Observed, Resource
from interlock.agents.systems.aws.session import Aws
from interlock.agents.systems.aws.verification import verify
from interlock.agents.systems.provisioning import Plan, PlanStaleError, Reconciliation, digest_of
from interlock.protocol.errors import PermanentError, TransientError, UnknownOutcomeError
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.messages.provisioning import AppliedResource
from interlock.protocol.values import CheckResult


class AwsDirectEngine:
    """A `ProvisioningEngine` that compares, resource by resource, and changes what differs.

    It never replaces or deletes: a plan that would need to is refused when it is applied.
    """

    def __init__(
        self,
        aws: Aws,
        *,
        available_within: float = 3600.0,
        poll_interval: float = 15.0,
        application_role: str = APPLICATION_ROLE,
    ) -> None:
        """`available_within`: seconds that one resource may take; `poll_interval`: seconds between two looks."""
        self._aws = aws
        self._available_within = available_within
        self._poll_interval = poll_interval
        self._application_role = application_role

    @property
    def name(self) -> str:
        """`aws-direct`."""
        return "aws-direct"

    async def plan(self, spec: DatabaseSpec, *, issue: str) -> Plan:
        """Compare the specification with the world; changes nothing.

        Raises PermanentError when the VPC is missing, or another issue or tool manages the database.
        """
        document = await self._compare(spec, issue, await self._resources(spec, issue))
        return Plan(
            engine=self.name,
            spec=spec,
            document=document.serialised(),
            changes=tuple(resource.change() for resource in document.resources),
            code={"database.json": spec.model_dump_json(by_alias=True, indent=2) + "\n"},
            findings=tuple(
                f"{resource.address} would have to be replaced, which aws-direct refuses: its data would be lost"
                for resource in document.resources
                if resource.action == "replace"
            ),
        )

    async def apply(self, plan: Plan, *, approved_digest: str, issue: str) -> tuple[AppliedResource, ...]:
        """Make the approved changes and read every resource back.

        A resource that is already as planned is left alone, so that repeating an interrupted apply completes it.

        Raises PermanentError when the bytes are not the approved ones or would replace something, PlanStaleError when
        any resource is neither as it was planned from nor as it was planned to be, TransientError when nothing was
        done yet, UnknownOutcomeError when it may have been applied in part.
        """
        document = self._approved(plan, approved_digest, issue)
        resources = await self._resources(document.spec, document.issue)
        await self._refuse_stale(plan, document, resources)
        done: list[str] = []
        try:
            for resource in resources:
                changed = await self._settle(resource)
                done += [resource.address] if changed else []
        except (PermanentError, TransientError) as error:
            if not done:
                raise
            raise UnknownOutcomeError(
                f"plan {plan.digest} for {issue} stopped after {', '.join(done)}: {error}; reconcile, then apply again"
            ) from error
        return await self._read_back(resources)

    async def reconcile(self, plan: Plan) -> Reconciliation:
        """Compare the plan's after-state with the world; changes nothing."""
        document = PlanDocument.parse(plan.document)
        resources = await self._resources(document.spec, document.issue)
        found = {one.address: seen for one, seen in zip(resources, await _observed(resources), strict=True)}
        outstanding: list[str] = []
        achieved = False
        for planned in document.resources:
            seen = found.get(planned.address)
            if seen is None or not seen.ready or dict(seen.properties) != dict(planned.after):
                outstanding.append(planned.address)
            elif planned.action != "none":
                achieved = True
        if not outstanding:
            return Reconciliation("applied", ())
        return Reconciliation("partly_applied" if achieved else "not_applied", tuple(outstanding))

    async def verify(self, spec: DatabaseSpec) -> tuple[CheckResult, ...]:
        """Compare every property of the specification with what AWS reports; unknown where it cannot be read."""
        return await verify(self._aws, spec)

    async def describe_database(self, identifier: str) -> DatabaseInstance | None:
        """Return the instance as AWS reports it, None when there is none."""
        return await describe_database(self._aws, identifier)

    async def raw_resources(self, spec: DatabaseSpec) -> dict[str, JsonDocument]:
        """Return what AWS's describe calls answer about the database and what belongs to it, without secret values."""
        return await raw_resources(self._aws, spec)

    async def _resources(self, spec: DatabaseSpec, issue: str) -> tuple[Resource, ...]:
        if spec.region != self._aws.region:
            raise PermanentError(
                f"database {spec.identifier!r} belongs into {spec.region}, this connection is to {self._aws.region}; "
                "configure the agent for that region"
            )
        network = await find_network(self._aws, spec.vpc)
        return desired_resources(self._aws, spec, network, issue=issue, reader=self._application_role)

    async def _compare(self, spec: DatabaseSpec, issue: str, resources: Sequence[Resource]) -> PlanDocument:
        planned: list[PlannedResource] = []
        for resource, seen in zip(resources, await _observed(resources), strict=True):
            before = seen.properties if seen else None
            planned.append(
                PlannedResource.compare(
                    resource.address, before=before, after=resource.desired, permanent=resource.permanent
                )
            )
        return PlanDocument(issue=issue, region=self._aws.region, spec=spec, resources=tuple(planned))

    def _approved(self, plan: Plan, approved_digest: str, issue: str) -> PlanDocument:
        if digest_of(plan.document) != approved_digest:
            raise PermanentError(
                f"the plan's bytes hash to {plan.digest}, approved was {approved_digest}; ask for approval of this plan"
            )
        document = PlanDocument.parse(plan.document)
        if document.issue != issue:
            raise PermanentError(f"plan {plan.digest} was made for {document.issue}, not for {issue}")
        refused = [resource.address for resource in document.resources if resource.action == "replace"]
        if refused:
            raise PermanentError(
                f"plan {plan.digest} would replace {', '.join(refused)}, which aws-direct never does: data would be "
                "lost; change the specification, or migrate by hand"
            )
        return document

    async def _refuse_stale(self, plan: Plan, document: PlanDocument, resources: Sequence[Resource]) -> None:
        world = await self._compare(document.spec, document.issue, resources)
        now = {resource.address: resource for resource in world.resources}
        same = now.keys() == {planned.address for planned in document.resources}
        if not same or not all(planned.still_allows(now[planned.address]) for planned in document.resources):
            raise PlanStaleError(plan.digest, digest_of(world.serialised()), document.differences(world))

    async def _settle(self, resource: Resource) -> bool:
        """Bring one resource to what is desired; return whether anything had to be done."""
        seen = await resource.observe()
        changed = seen is None or dict(seen.properties) != dict(resource.desired)
        if seen is None:
            await resource.create()
        elif changed:
            await resource.update()
        if changed or not (seen and seen.ready):
            await self._await_desired(resource)
        return changed

    async def _await_desired(self, resource: Resource) -> None:
        with anyio.move_on_after(self._available_within):
            while True:
                if await self._is_as_desired(resource):
                    return
                await anyio.sleep(self._poll_interval)
        raise UnknownOutcomeError(
            f"{resource.address} was not as planned after {self._available_within:.0f} s; look at it, then reconcile"
        )

    async def _is_as_desired(self, resource: Resource) -> bool:
        try:
            seen = await resource.observe()
        except TransientError:
            # A look that failed says nothing about the resource; the deadline bounds how often this is repeated.
            return False
        return seen is not None and seen.ready and dict(seen.properties) == dict(resource.desired)

    async def _read_back(self, resources: Sequence[Resource]) -> tuple[AppliedResource, ...]:
        applied: list[AppliedResource] = []
        for resource, seen in zip(resources, await _observed(resources), strict=True):
            if seen is None:
                raise UnknownOutcomeError(f"{resource.address} was applied but cannot be found; reconcile")
            applied.append(AppliedResource(address=resource.address, id=seen.id, properties=dict(seen.properties)))
        return tuple(applied)


async def _observed(resources: Sequence[Resource]) -> list[Observed | None]:
    return await together([resource.observe for resource in resources])
