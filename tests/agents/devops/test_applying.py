"""One approval leads to at most one apply, and time never turns a doubt about it into a no."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta

from agents.devops.conftest import ISSUE, Outside
from interlock.agents.devops.agent import devops_agent
from interlock.agents.systems.aws import Aws, AwsDirectEngine
from interlock.agents.systems.plan_bundle import PlanBundle
from interlock.agents.systems.provisioning import Plan
from interlock.agents.testing import AgentTester
from interlock.bus.clock import VirtualClock
from interlock.protocol.ids import new_id
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.message import Message
from interlock.protocol.messages.provisioning import AppliedResource, InfrastructureApplied, InfrastructureApply
from interlock.protocol.messages.task import TaskFailed, TaskProgress

LIFETIME = timedelta(minutes=30)


class InterruptedEngine(AwsDirectEngine):
    """Applies; the first time something happens before the end."""

    def __init__(self, aws: Aws, interruption: Callable[[], Coroutine[object, object, None]]) -> None:
        super().__init__(aws, available_within=5.0, poll_interval=0.01)
        self.applied = 0
        self._interruption = interruption

    async def apply(self, plan: Plan, *, approved_digest: str, issue: str) -> tuple[AppliedResource, ...]:
        self.applied += 1
        resources = await super().apply(plan, approved_digest=approved_digest, issue=issue)
        if self.applied == 1:
            await self._interruption()
        return resources


async def order(outside: Outside, spec: DatabaseSpec, *, expires_at: datetime) -> InfrastructureApply:
    plan = await outside.systems.engine.plan(spec, issue=ISSUE)
    revision = await outside.systems.artifacts.put(ISSUE, PlanBundle({spec.environment: plan}).files())
    return InfrastructureApply(
        jira_issue=ISSUE,
        environment=spec.environment,
        spec=spec,
        plan_digest=plan.digest,
        revision=revision.digest,
        terraform=revision.address,
        approval_id=new_id(),
        approved_by="operator",
        approval_expires_at=expires_at,
    )


def final(answers: list[Message]) -> Message:
    (answer,) = (answer for answer in answers if not isinstance(answer, TaskProgress))
    return answer


async def test_an_approval_in_time_is_applied_once(outside: Outside, spec: DatabaseSpec) -> None:
    async with AgentTester(devops_agent(outside.systems)) as tester:
        apply = await order(outside, spec, expires_at=tester.clock.now() + LIFETIME)
        assert isinstance(final(await tester.receives(apply)), InfrastructureApplied)


async def test_an_expired_approval_is_not_applied(outside: Outside, spec: DatabaseSpec) -> None:
    async with AgentTester(devops_agent(outside.systems)) as tester:
        apply = await order(outside, spec, expires_at=tester.clock.now())
        answer = final(await tester.receives(apply))
    assert isinstance(answer, TaskFailed)
    assert (answer.code, answer.outcome) == ("approval_expired", "failed")
    assert await outside.systems.engine.describe_database(spec.identifier) is None  # type: ignore[attr-defined]


async def test_an_apply_that_was_interrupted_is_in_doubt_even_when_its_approval_has_expired_since(
    outside: Outside, spec: DatabaseSpec
) -> None:
    clock = VirtualClock()

    async def interruption() -> None:
        await clock.advance(LIFETIME.total_seconds())
        raise RuntimeError("the process ended")

    engine = InterruptedEngine(outside.systems.aws, interruption)
    agent = devops_agent(replace(outside.systems, engine=engine))
    async with AgentTester(agent, clock=clock) as tester:
        apply = await order(outside, spec, expires_at=clock.now() + LIFETIME)
        answer = final([*await tester.receives(apply), *await tester.advance(60.0)])
    assert isinstance(answer, TaskFailed)
    assert (answer.code, answer.outcome) == ("unknown_outcome", "unknown")
    assert engine.applied == 1
