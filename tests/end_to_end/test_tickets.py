"""Tickets in every form that people write them: complete ones end accepted, the others in good order."""

from __future__ import annotations

import json

import pytest

from end_to_end.desk import Desk, denial, grant
from end_to_end.outside import FIXTURES, Outside, ticket
from interlock.agents.demo.people import People
from interlock.agents.systems.tickets import TicketFile
from interlock.protocol.messages.approval import ApprovalRequest, ApprovalSubject, Risk
from interlock.protocol.messages.change import ChangeConcluded, ChangeOutcome
from interlock.protocol.messages.handoff import ConnectivityTestResult
from interlock.protocol.messages.task import InputProvided, InputRequired, TaskDeclined
from interlock.protocol.values import CheckVerdict


async def yes(_question: str) -> bool:
    """Approve, whatever the risk."""
    return True


def answers(name: str) -> dict[str, str]:
    content: dict[str, str] = json.loads((FIXTURES / f"{name}.answers.json").read_text())
    return content


@pytest.mark.parametrize(
    ("new", "identifier"),
    [
        pytest.param(
            ticket("english-markdown", replacing={"staging-orders": "staging-en"}), "staging-en", id="english-markdown"
        ),
        pytest.param(ticket("korean-markdown", identifier="dev-ko"), "dev-ko", id="korean-markdown"),
        pytest.param(ticket("korean-wiki", identifier="prod-ko"), "prod-ko", id="korean-wiki"),
    ],
)
async def test_a_complete_ticket_ends_accepted(desk: Desk, outside: Outside, new: TicketFile, identifier: str) -> None:
    issue = await outside.raise_issue(new)

    await desk.accept(issue, people=People(answers=None, ask=yes))

    database = await outside.instance(identifier)
    assert database is not None
    assert database["DBInstanceStatus"] == "available"
    assert await outside.statuses(issue) == ["In Progress", "Done"]


async def test_missing_facts_are_asked_for_by_name_and_the_change_goes_on_with_the_answers(
    desk: Desk, outside: Outside
) -> None:
    # A database of its own: the recorded scenario of the same ticket makes one in the same account.
    issue = await outside.raise_issue(ticket("missing-facts", identifier="staging-missing"))
    given = answers("missing-facts")

    await desk.ask_for(issue)
    question = await desk.hear(InputRequired, issue=issue)

    assert {gap.field for gap in question.missing} == set(given)
    assert {gap.field: gap.found for gap in question.missing if gap.cause == "invalid"} == {
        "backupRetentionDays": ("Daily",)
    }
    assert await outside.statuses(issue) == []
    (comment,) = await outside.comments(issue)
    assert [field for field in given if f"* {field} - " not in comment] == []

    await desk.say(InputProvided(answers=given), issue=issue)
    end = await desk.go_on(issue)

    assert (end.outcome, end.missing) == (ChangeOutcome.ACCEPTED, ())
    assert await outside.statuses(issue) == ["In Progress", "Done"]


async def test_what_is_still_missing_after_an_answer_is_asked_for_again(desk: Desk, outside: Outside) -> None:
    issue = await outside.raise_issue(ticket("missing-facts"))
    given = answers("missing-facts")
    kept_back = given.popitem()[0]

    await desk.ask_for(issue)
    await desk.hear(InputRequired, issue=issue)
    await desk.say(InputProvided(answers=given), issue=issue)
    question = await desk.hear(InputRequired, issue=issue)

    assert [gap.field for gap in question.missing] == [kept_back]


async def test_contradictions_are_asked_about_with_both_values_and_the_answers_decide(
    desk: Desk, outside: Outside
) -> None:
    issue = await outside.raise_issue(ticket("contradiction", identifier="prod-shop"))
    given = answers("contradiction")

    await desk.ask_for(issue)
    question = await desk.hear(InputRequired, issue=issue)

    gaps = {gap.field: gap for gap in question.missing}
    assert set(gaps) == set(given)
    assert {gap.cause for gap in question.missing} == {"contradiction"}
    assert gaps["storageGb"].found == ("100GB (GP3)", "200GB")

    await desk.say(InputProvided(answers=given), issue=issue)
    end = await desk.go_on(issue, people=People(answers=None, ask=yes))

    assert end.outcome is ChangeOutcome.ACCEPTED, end.reason
    database = await outside.instance("prod-shop")
    assert database is not None
    assert (database["AllocatedStorage"], database["PubliclyAccessible"]) == (200, False)


async def test_a_change_far_over_its_budget_waits_until_someone_else_approves(desk: Desk, outside: Outside) -> None:
    large = {"db.t3.medium": "db.r5.2xlarge"}
    issue = await outside.raise_issue(ticket("proj-140", identifier="prod-analytics", replacing=large))

    await desk.ask_for(issue)
    request = await desk.hear(ApprovalRequest, issue=issue)

    assert (request.subject, request.risk) == (ApprovalSubject.BUDGET, Risk.HIGH)
    assert await People(answers=None, ask=None).decide(request) is None, "nobody approves this automatically"
    assert await outside.statuses(issue) == []

    await desk.say(grant(request, by="budget-owner"), issue=issue)
    plan = await desk.hear(ApprovalRequest, issue=issue)

    assert plan.subject is ApprovalSubject.PLAN
    assert await outside.statuses(issue) == ["In Progress"]
    assert await outside.instance("prod-analytics") is None

    await desk.say(denial(plan, reason="not before the freeze ends"), issue=issue)
    end = await desk.hear(ChangeConcluded, issue=issue)

    assert (end.outcome, end.reason) == (
        ChangeOutcome.DECLINED,
        "operator denied the plan approval: not before the freeze ends",
    )
    assert await outside.instance("prod-analytics") is None


async def test_an_estimate_without_all_prices_is_never_within_a_budget(desk: Desk, outside: Outside) -> None:
    issue = await outside.raise_issue(ticket("over-budget", identifier="prod-unpriced"))

    await desk.ask_for(issue)
    request = await desk.hear(ApprovalRequest, issue=issue)

    assert (request.subject, request.risk) == (ApprovalSubject.BUDGET, Risk.HIGH)
    assert "without a price are: " in request.summary
    assert "db.r6g.4xlarge PostgreSQL, Multi-AZ" in request.summary


async def test_a_denied_budget_ends_the_change_before_anything_is_planned(desk: Desk, outside: Outside) -> None:
    issue = await outside.raise_issue(ticket("over-budget", identifier="prod-denied"))

    await desk.ask_for(issue)
    request = await desk.hear(ApprovalRequest, issue=issue)
    await desk.say(denial(request, by="budget-owner", reason="too dear"), issue=issue)
    end = await desk.hear(ChangeConcluded, issue=issue)

    assert (end.outcome, end.reason) == (
        ChangeOutcome.DECLINED,
        "budget-owner denied the budget approval: too dear",
    )
    assert await outside.statuses(issue) == []
    (comment,) = await outside.comments(issue)
    assert "too dear" in comment
    assert "Nothing was applied by this change." in comment


async def test_an_unsupported_database_is_declined_with_a_code_and_nothing_is_created(
    desk: Desk, outside: Outside
) -> None:
    issue = await outside.raise_issue(ticket("unsupported-oracle", identifier="staging-erp"))

    end = await desk.play(issue)

    record = await desk.record(issue)
    (refusal,) = [e.payload for e in record.envelopes if isinstance(e.payload, TaskDeclined)]
    assert refusal.code == "unsupported_engine"
    assert end.outcome is ChangeOutcome.DECLINED
    assert "Oracle" in end.reason
    assert await outside.instance("staging-erp") is None
    assert end.reason in "\n".join(await outside.comments(issue)).replace("\\", "")


@pytest.mark.parametrize(("name", "check"), [("public-production", "K1"), ("no-backups-production", "K14")])
async def test_what_security_rejects_is_never_applied(desk: Desk, outside: Outside, name: str, check: str) -> None:
    issue = await outside.raise_issue(ticket(name, identifier=f"prod-{name.partition('-')[0]}"))

    end = await desk.play(issue)

    assert end.outcome is ChangeOutcome.DECLINED
    assert end.reason.startswith(f"security review rejected the plan: {check}: ")
    record = await desk.record(issue)
    assert [e for e in record.envelopes if e.type == "infrastructure_apply"] == []
    assert await outside.instance(f"prod-{name.partition('-')[0]}") is None
    assert await outside.instance(f"test-{name.partition('-')[0]}") is None


async def test_names_that_try_to_break_out_are_asked_about_and_reach_nothing(desk: Desk, outside: Outside) -> None:
    issue = await outside.raise_issue(ticket("injection-names"))

    await desk.ask_for(issue)
    question = await desk.hear(InputRequired, issue=issue)

    assert {gap.field for gap in question.missing if gap.cause == "invalid"} >= {
        "region",
        "vpc",
        "securityGroup",
        "identifier",
        "databaseName",
    }
    assert await outside.statuses(issue) == []
    (comment,) = await outside.comments(issue)
    assert "${file" not in comment, "Jira would read it as a macro"
    assert "root:" not in comment
    assert await outside.chat(issue) == []
    record = await desk.record(issue)
    assert {e.type for e in record.envelopes} == {
        "change_requested",
        "requirements_analysis_request",
        "input_required",
    }


@pytest.mark.parametrize(
    ("new", "identifier", "described"),
    [
        pytest.param(
            ticket("mysql", identifier="prod-mysql", replacing={"db-sg": "mysql-sg"}),
            "prod-mysql",
            {"Engine": "mysql", "EngineVersion": "8.0.35", "AllocatedStorage": 250, "StorageType": "gp2"},
            id="mysql",
        ),
        pytest.param(
            ticket("mariadb", identifier="test-forum", replacing={"orders-sg": "forum-sg"}),
            "test-forum",
            {"Engine": "mariadb", "EngineVersion": "10.11", "AllocatedStorage": 20, "StorageType": "gp3"},
            id="mariadb",
        ),
    ],
)
async def test_a_database_whose_login_cannot_be_proven_is_not_accepted_and_the_evidence_says_why(
    desk: Desk, outside: Outside, new: TicketFile, identifier: str, described: dict[str, object]
) -> None:
    issue = await outside.raise_issue(new)

    end = await desk.play(issue, people=People(answers=None, ask=yes))

    assert end.outcome is ChangeOutcome.DECLINED
    assert end.reason.startswith("qa-agent declined the handoff: ")
    record = await desk.record(issue)
    (result,) = [e.payload for e in record.envelopes if isinstance(e.payload, ConnectivityTestResult)]
    levels = {check.id: check.verdict for check in result.checks}
    assert levels["reachable"] is CheckVerdict.PASS
    assert levels["greeting"] is CheckVerdict.PASS
    assert {levels[level] for level in ("login", "query")} == {CheckVerdict.UNKNOWN}
    database = await outside.instance(identifier)
    assert database is not None
    assert described.items() <= database.items()
    assert "Done" not in await outside.statuses(issue)
