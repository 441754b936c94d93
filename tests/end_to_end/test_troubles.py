"""What goes wrong between a ticket and an accepted database: asked twice, drift, lost answers, peers that refuse."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from end_to_end.desk import Desk, grant
from end_to_end.losing_proxy import LosingProxy
from end_to_end.outside import Outside, ticket
from interlock.agents.demo.record import Record
from interlock.agents.demo.stage import MemoryStage
from interlock.protocol.messages.approval import ApprovalRefused, ApprovalRequest
from interlock.protocol.messages.change import ChangeConcluded, ChangeOutcome
from interlock.protocol.messages.provisioning import DriftDetected, ReconciliationResult


@asynccontextmanager
async def at_work(directory: Path, settings: Mapping[str, Any], **changed: dict[str, Any]) -> AsyncGenerator[Desk]:
    """The console of a team with some settings changed."""
    merged = {**settings, **{name: {**settings.get(name, {}), **section} for name, section in changed.items()}}
    async with MemoryStage(directory, settings=merged) as stage, Desk.at(stage) as desk:
        yield desk


def staging(identifier: str) -> dict[str, str]:
    return {"staging-orders": identifier}


def actions(record: Record) -> list[str]:
    return [row.entry.action for row in record.audit]


def types(record: Record) -> list[str]:
    return [envelope.type for envelope in record.envelopes]


async def test_a_change_asked_for_many_times_is_carried_out_once(desk: Desk, outside: Outside) -> None:
    issue = await outside.raise_issue(ticket("english-markdown", replacing=staging("staging-many")))

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(desk.ask_for, issue)
    end = await desk.go_on(issue)
    await desk.ask_for(issue)

    assert end.outcome is ChangeOutcome.ACCEPTED, end.reason
    record = await desk.record(issue)
    assert types(record).count("infrastructure_applied") == 1
    assert types(record).count("change_concluded") == 1
    assert await outside.statuses(issue) == ["In Progress", "Done"]
    assert len(await outside.comments(issue)) == 1
    assert len(await outside.chat(issue)) == 1


async def test_a_team_that_lost_its_memory_creates_nothing_twice(tmp_path: Path, outside: Outside) -> None:
    issue = await outside.raise_issue(ticket("english-markdown", replacing=staging("staging-again")))
    async with at_work(tmp_path / "first", outside.settings) as desk:
        await desk.accept(issue)
    before = await outside.instance("staging-again")

    async with at_work(tmp_path / "second", outside.settings) as desk:
        end = await desk.play(issue)

    assert (end.outcome, "already_done" in end.reason) == (ChangeOutcome.DECLINED, True)

    await outside.reopen(issue)
    async with at_work(tmp_path / "third", outside.settings) as desk:
        record = await desk.accept(issue)

    (plan,) = [e.payload for e in record.envelopes if e.type == "plan_ready"]
    assert (plan.creates, plan.updates, plan.destroys) == (0, 0, 0)
    after = await outside.instance("staging-again")
    assert before is not None
    assert after is not None
    assert (after["DbiResourceId"], after["KmsKeyId"]) == (before["DbiResourceId"], before["KmsKeyId"])
    assert await outside.statuses(issue) == ["In Progress", "Done", "To Do", "In Progress", "Done"]
    assert ["Deployed" in comment for comment in await outside.comments(issue)].count(True) == 1


async def test_a_backend_whose_pools_do_not_fit_declines_and_the_ticket_says_why(
    tmp_path: Path, outside: Outside
) -> None:
    issue = await outside.raise_issue(ticket("english-markdown", replacing=staging("staging-pool")))

    async with at_work(tmp_path, outside.settings, backend={"pool_size": 5000, "replicas": 3}) as desk:
        end = await desk.play(issue)

    assert end.outcome is ChangeOutcome.DECLINED
    assert end.reason.startswith("backend-agent declined the handoff: 5000 connections x 3 replicas are 15000, ")
    assert end.reason.endswith("(pool_too_large)")
    (comment,) = await outside.comments(issue)
    assert "5000 connections x 3 replicas are 15000" in comment
    assert await outside.statuses(issue) == ["In Progress"]


async def test_a_database_whose_certificate_is_not_trusted_is_not_accepted(tmp_path: Path, outside: Outside) -> None:
    issue = await outside.raise_issue(ticket("english-markdown", replacing=staging("staging-tls")))

    async with at_work(tmp_path, outside.settings, qa={"ca_file": None}) as desk:
        end = await desk.play(issue)

    assert end.outcome is ChangeOutcome.DECLINED
    assert end.reason.startswith("qa-agent declined the handoff: ")
    assert "Done" not in await outside.statuses(issue)


async def test_drift_after_the_approval_voids_it_and_a_new_plan_needs_a_new_one(desk: Desk, outside: Outside) -> None:
    issue = await outside.raise_issue(ticket("proj-140", identifier="prod-drift"))
    await desk.ask_for(issue)
    await desk.say(grant(await desk.hear(ApprovalRequest, issue=issue), by="budget-owner"), issue=issue)
    first = await desk.hear(ApprovalRequest, issue=issue)

    group = {
        "DBParameterGroupName": "prod-drift-postgres14",
        "DBParameterGroupFamily": "postgres14",
        "Description": "made by hand",
    }
    await outside.aws.rds.call("create_db_parameter_group", group, about="prod-drift")
    await desk.say(grant(first), issue=issue)
    second = await desk.hear(ApprovalRequest, issue=issue)

    assert second.digest != first.digest
    record = await desk.record(issue)
    (drift,) = [e.payload for e in record.envelopes if isinstance(e.payload, DriftDetected)]
    assert (drift.plan_digest, "aws_db_parameter_group" in "".join(drift.diff)) == (first.digest, True)
    assert await outside.instance("prod-drift") is None, "nothing of a stale plan may be applied"

    await desk.say(grant(first), issue=issue)
    assert (await desk.hear(ApprovalRefused, issue=issue)).code == "already_used"
    await desk.say(grant(first, approval_id=second.approval_id), issue=issue)
    assert (await desk.hear(ApprovalRefused, issue=issue)).code == "other_digest"

    await desk.say(grant(second), issue=issue)
    end = await desk.hear(ChangeConcluded, issue=issue)

    assert end.outcome is ChangeOutcome.ACCEPTED, end.reason
    assert await outside.statuses(issue) == ["In Progress", "Done"]


async def test_an_apply_whose_answer_was_lost_is_looked_up_and_never_repeated_blindly(
    tmp_path: Path, outside: Outside
) -> None:
    issue = await outside.raise_issue(ticket("english-markdown", replacing=staging("staging-lost")))
    words = ("CreateDBInstance", "DBInstanceIdentifier=staging-lost")

    async with (
        LosingProxy(outside.settings["aws"]["endpoint_url"], words=words) as proxy,
        at_work(tmp_path, outside.settings, aws={"endpoint_url": proxy.url}) as desk,
    ):
        record = await desk.accept(issue)

    assert proxy.lost == 1
    entered = [row.entry.details["state"] for row in record.audit if row.entry.action == "entered"]
    assert "apply_unknown" in entered
    (found,) = [e.payload for e in record.envelopes if isinstance(e.payload, ReconciliationResult)]
    assert found.outcome == "partly_applied"
    assert "planned_again" in actions(record)
    instances = await outside.aws.rds.listed("describe_db_instances", "DBInstances", about="all databases")
    assert [one["DBInstanceIdentifier"] for one in instances].count("staging-lost") == 1
    assert await outside.statuses(issue) == ["In Progress", "Done"]
    assert len(await outside.comments(issue)) == 1


@pytest.mark.parametrize("missing", ["api-tokens"])
async def test_an_environment_without_its_secrets_is_not_handed_over(
    tmp_path: Path, outside: Outside, missing: str
) -> None:
    issue = await outside.raise_issue(ticket("english-markdown", replacing=staging("staging-secrets")))

    async with at_work(tmp_path, outside.settings, deployment={"secrets": ["database-credentials", missing]}) as desk:
        end = await desk.play(issue)

    assert end.outcome is ChangeOutcome.FAILED
    assert f"secret {missing} is missing in namespace default" in end.reason
    record = await desk.record(issue)
    assert "deployment_environment_ready" not in types(record)
    (announced,) = await outside.chat(issue)
    assert announced["mentions"] == ["!subteam^S0DEVOPS"], "a failure calls the team"
