"""The ticket gets its last word once, whatever happens between two attempts at it."""

from __future__ import annotations

from agents.devops.conftest import ISSUE, Outside
from interlock.agents.devops.agent import devops_agent
from interlock.agents.sandbox.jira_faults import Fault
from interlock.agents.systems.provisioning import digest_of
from interlock.agents.testing import AgentTester
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.messages.change import (
    ChangeOutcome,
    CostEstimateReady,
    InfrastructureRequest,
    TicketClosed,
    TicketCloseRequest,
)


async def apply(outside: Outside, spec: DatabaseSpec) -> None:
    engine = outside.systems.engine
    plan = await engine.plan(spec, issue=ISSUE)
    await engine.apply(plan, approved_digest=plan.digest, issue=ISSUE)


async def test_a_ticket_is_closed_although_the_instance_has_changed_since_the_first_attempt(
    outside: Outside, spec: DatabaseSpec
) -> None:
    await apply(outside, spec)
    await outside.systems.jira.transition(ISSUE, "In Progress")
    async with AgentTester(devops_agent(outside.systems)) as tester:
        (estimate,) = await tester.receives(
            InfrastructureRequest(jira_issue=ISSUE, spec=spec, environment=spec.environment)
        )
        assert isinstance(estimate, CostEstimateReady)
        outside.jira_faults.append(Fault("503", path="comment", method="POST"))
        request = TicketCloseRequest(
            jira_issue=ISSUE,
            outcome=ChangeOutcome.ACCEPTED,
            reason="accepted by all",
            spec=spec,
            estimate=estimate,
            plan_digest=digest_of(b"plan"),
            page_url="s3://interlock-artifacts/page",
        )
        assert await tester.receives(request) == []
        # Maintenance takes a backup less, say: the comment's text follows what AWS reports.
        await outside.systems.aws.rds.call(
            "modify_db_instance",
            {"DBInstanceIdentifier": spec.identifier, "BackupRetentionPeriod": 14, "ApplyImmediately": True},
            about=spec.identifier,
        )
        (closed,) = await tester.advance(60.0)
    assert isinstance(closed, TicketClosed)
    issue = await outside.systems.jira.issue(ISSUE)
    assert issue.status == "Done"
    (comment,) = issue.comments
    assert "Backup: 14 days" in str(comment.body)
