"""The report as a value: everything that happened is in it, and its JSON says the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from interlock.agents.report.report import Report, Run
from interlock.agents.report.ticket import Ticket
from interlock.bus.store.records import ApprovalRow, ApprovalState, AuditRow
from interlock.protocol import Envelope, encode
from interlock.protocol.ids import derived_id
from interlock.protocol.message import Message
from interlock.protocol.messages.change import ChangeConcluded, ChangeOutcome
from interlock.protocol.messages.task import InputProvided, InputRequired, MissingInput
from interlock.protocol.values import CheckVerdict

Builder = Callable[..., Report]

MISSING = MissingInput(field="backupRetentionDays", question="For how many days?", cause="missing")


@pytest.fixture
def build(ticket: Ticket, run: Run) -> Builder:
    """Build a report from a conversation and what else is said to be known."""

    def built(
        envelopes: list[Envelope[Message]], *, approvals: Sequence[ApprovalRow] = (), audit: Sequence[AuditRow] = ()
    ) -> Report:
        return Report.build(envelopes, approvals=approvals, audit=audit, ticket=ticket, resources={}, run=run)

    return built


def test_json_is_read_back_as_the_same_report(report: Report) -> None:
    assert Report.model_validate_json(report.to_json()) == report


def test_json_has_the_names_that_scripts_rely_on(report: Report) -> None:
    told = json.loads(report.to_json())

    assert told["outcome"] == "accepted"
    assert told["jiraIssue"] == "PROJ-140"
    assert told["jira"]["status"] == "Done"
    assert told["broker"] == {"kind": "private", "version": "RabbitMQ 4.1.0"}
    assert told["processes"]["devops-agent"] == 4001
    assert told["resources"]["DescribeDBInstances"]["MultiAZ"] is True
    assert told["planDigest"] == told["plan"]["planDigest"]
    assert {"reason", "missing", "engine", "durations", "approvals", "checks", "estimate", "sandbox"} <= told.keys()


def test_each_message_is_in_it_as_it_was_sent_and_in_that_order(report: Report, story: Any) -> None:
    assert list(report.messages) == [json.loads(encode(envelope)) for envelope in story.envelopes]


def test_the_time_in_the_states_adds_up_to_the_flow(report: Report) -> None:
    times = report.durations

    assert sum(times.by_state.values()) == pytest.approx(times.flow)
    assert times.by_state["verified_test"] == 3
    assert times.waiting_for_people == 3
    assert times.total == pytest.approx(times.flow + 5)


def test_waiting_for_an_answer_counts_as_waiting_for_people(build: Builder, story: Any) -> None:
    story.envelopes.clear()
    story.say("coordinator", "console", InputRequired(missing=(MISSING,)))
    story.say("console", "coordinator", InputProvided(answers={"backupRetentionDays": "7"}), after=12)

    assert build(story.envelopes).durations.waiting_for_people == 12


def test_a_relayed_check_is_listed_once_under_who_looked(report: Report) -> None:
    login = [check for check in report.checks if check.id == "login"]

    assert [(check.agent, check.stage) for check in login] == [("qa-agent", "handoff")]


def test_the_same_check_in_two_environments_is_listed_twice(report: Report) -> None:
    assert [check.stage for check in report.checks if check.id == "engine"] == ["test", "production"]


def test_a_refused_decision_stands_beside_its_gate_with_the_reason(report: Report) -> None:
    production = next(gate for gate in report.approvals if gate.environment == "production")

    assert [refusal.code for refusal in production.refusals] == ["own_change"]
    assert report.refusals[0].reason == "reporter asked for this change"
    assert production.approver == "minsu"


def test_a_refusal_of_a_gate_that_never_was_is_on_record(build: Builder, story: Any) -> None:
    story.note("approval_refused", approval="x", approver="eve", code="unknown_approval", digest="sha256:0")

    refused = build(story.envelopes, audit=story.audit).refusals[-1]

    assert (refused.approver, refused.reason) == ("eve", "unknown approval")


def test_what_is_unknown_waived_or_unpriced_is_named_as_not_proven(report: Report) -> None:
    notes = "\n".join(report.notes)

    assert any(check.verdict is CheckVerdict.UNKNOWN for check in report.checks)
    for open_point in ("Failover", "K8 Network ACLs is unknown", "K10 Auto-scaling groups is waived", "data transfer"):
        assert open_point in notes


def test_without_a_conclusion_missing_facts_are_the_outcome(build: Builder, story: Any) -> None:
    story.envelopes.clear()
    story.say("devops-agent", "coordinator", InputRequired(missing=(MISSING,)))

    report = build(story.envelopes)

    assert report.outcome is ChangeOutcome.INPUT_REQUIRED
    assert report.missing == (MISSING,)
    assert "backupRetentionDays" in report.reason


def test_without_a_conclusion_an_open_gate_is_the_outcome(build: Builder, story: Any) -> None:
    asked = story.now
    gate = ApprovalRow(
        id=derived_id("gate"),
        conversation_id=derived_id("conversation"),
        subject="budget",
        digest=f"sha256:{'d' * 64}",
        environment="production",
        author="reporter",
        summary="PROJ-140 costs 300 USD a month, 150 USD are budgeted",
        state=ApprovalState.OPEN,
        requested_at=asked,
        expires_at=asked + timedelta(minutes=30),
    )

    report = build(story.envelopes[:4], approvals=[gate])

    assert report.outcome is ChangeOutcome.WAITING_FOR_APPROVAL
    assert report.reason == gate.summary


def test_a_run_that_broke_off_has_failed(build: Builder) -> None:
    report = build([])

    assert report.outcome is ChangeOutcome.FAILED
    assert report.durations.flow == 0


def test_the_outcome_is_what_the_coordinator_concluded(build: Builder, story: Any) -> None:
    story.envelopes.clear()
    concluded = ChangeConcluded(jira_issue="PROJ-140", outcome=ChangeOutcome.DECLINED, reason="MongoDB is unsupported")
    story.say("coordinator", "console", concluded)

    assert (build(story.envelopes).outcome, build(story.envelopes).reason) == (concluded.outcome, concluded.reason)
