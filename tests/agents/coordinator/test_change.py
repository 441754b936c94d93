"""From a request to an accepted change, and every way out: what each state answers, and to whom."""

from __future__ import annotations

from typing import Literal

import pytest

from agents.coordinator import story
from interlock.agents.coordinator import Change
from interlock.agents.coordinator.data import ChangeData
from interlock.agents.testing import WorkflowTester
from interlock.bus.store.records import ApprovalState
from interlock.protocol.message import Message, hours, minutes
from interlock.protocol.messages.approval import ApprovalRefused, ApprovalRequest, Risk
from interlock.protocol.messages.change import (
    ChangeConcluded,
    ChangeOutcome,
    ChangeRequested,
    EscalationRaised,
    RequirementsAnalysisRequest,
    TicketClosed,
    TicketCloseRequest,
)
from interlock.protocol.messages.provisioning import (
    InfrastructureApply,
    PlanRequest,
    ReconciliationRequest,
    VerificationRequest,
)
from interlock.protocol.messages.task import (
    DeadlineExceeded,
    InputProvided,
    InputRequired,
    MissingInput,
    TaskCancelled,
    TaskDeclined,
    TaskFailed,
    TaskProgress,
)
from interlock.protocol.roles import BACKEND, CONSOLE, DEVOPS, QA, SECURITY
from interlock.protocol.values import CheckVerdict, Environment

TEST, PRODUCTION = Environment.TEST, Environment.PRODUCTION
UNKNOWN = TaskFailed(code="unknown_outcome", reason="the connection broke", outcome="unknown")
MISSING = InputRequired(missing=(MissingInput(field="engine", question="Which engine?", cause="missing"),))


def change(steps: int = 0) -> WorkflowTester[ChangeData]:
    """Return a change after the first steps of its way; 7 of them lead to the person's decision."""
    return WorkflowTester(Change).given(*story.WAY[:steps])


def approved() -> WorkflowTester[ChangeData]:
    tester = change(7)
    tester.receives(story.grant(asked(tester)))
    return tester


def asked(tester: WorkflowTester[ChangeData]) -> ApprovalRequest:
    return next(m for m in reversed(tester.messages) if isinstance(m, ApprovalRequest))


def actions(tester: WorkflowTester[ChangeData]) -> list[str]:
    return [entry.action for entry in tester.audit]


@pytest.mark.parametrize(
    ("steps", "state"),
    [
        (0, "received"),
        (1, "analysing"),
        (2, "analysing"),
        (3, "estimated"),
        (4, "planned"),
        (5, "approved_test"),
        (6, "applied_test"),
        (7, "verified_test"),
    ],
)
def test_each_answer_moves_the_change_one_state_on(steps: int, state: str) -> None:
    assert change(steps).state == state


def test_after_the_persons_yes_the_change_goes_on_to_its_end() -> None:
    tester = approved()
    states = [tester.state]
    for message in story.TO_THE_END:
        tester.receives(message)
        states.append(tester.state)
    assert states == [
        *("approved", "applied", "verified", "monitored", "documented"),
        *("documented", "documented", "documented", "accepted", "done"),
    ]
    assert tester.sent[-1].receiver == CONSOLE
    conclusion = tester.messages[-1]
    assert isinstance(conclusion, ChangeConcluded)
    assert conclusion.outcome is ChangeOutcome.ACCEPTED


def test_reported_steps_are_states_of_the_change() -> None:
    tester = change(3)
    seen: list[str] = []
    for step in ("in_progress", "coded"):
        tester.receives(TaskProgress(step=step), sender=DEVOPS)
        seen.append(tester.state)
    tester.given(*story.WAY[3:4]).receives(TaskProgress(step="in_review"), sender=SECURITY)
    assert [*seen, tester.state] == ["in_progress", "coded", "in_review"]


def test_facts_that_are_missing_are_asked_for_and_the_ticket_is_read_again_with_the_answers() -> None:
    tester = change(1)
    tester.receives(MISSING, sender=DEVOPS)
    assert tester.state == "input_required"
    assert tester.sent[-1].receiver == CONSOLE
    answers = tester.receives(InputProvided(answers={"engine": "mysql"}), sender=CONSOLE)
    assert answers == [RequirementsAnalysisRequest(jira_issue=story.ISSUE, answers={"engine": "mysql"})]
    assert tester.state == "analysing"


@pytest.mark.parametrize(("monthly", "risk"), [(170, Risk.MEDIUM), (400, Risk.HIGH)])
def test_an_estimate_beyond_the_budget_waits_for_a_person(monthly: int, risk: Risk) -> None:
    tester = change(2).given(story.estimate(monthly))
    assert tester.state == "over_budget"
    request = asked(tester)
    assert request.risk is risk
    assert [type(m) for m in tester.receives(story.grant(request))] == [PlanRequest]
    assert tester.state == "estimated"


@pytest.mark.parametrize(
    ("approver", "of", "code"),
    [
        (story.AUTHOR, None, "own_change"),
        (story.AUTHOR.upper(), None, "own_change"),
        (f" {story.AUTHOR}\N{NO-BREAK SPACE}", None, "own_change"),
        ("devops-agent ", None, "not_a_person"),
        (story.REQUESTER, None, "own_change"),
        ("devops-agent", None, "not_a_person"),
        ("Some-Agent", None, "not_a_person"),
        ("policy:non-production", None, "not_a_person"),
        ("Kim", story.digest("other"), "other_digest"),
    ],
)
def test_a_yes_that_does_not_count_is_refused_on_record(approver: str, of: str | None, code: str) -> None:
    tester = change(7)
    (refusal,) = tester.receives(story.grant(asked(tester), approver, of=of))
    assert isinstance(refusal, ApprovalRefused)
    assert refusal.code == code
    assert tester.state == "verified_test"
    assert actions(tester)[-1] == "approval_refused"


def test_an_approval_is_used_once() -> None:
    tester = approved()
    (refusal,) = tester.receives(story.grant(asked(tester)))
    assert isinstance(refusal, ApprovalRefused)
    assert refusal.code == "already_used"
    assert sum(isinstance(m, InfrastructureApply) and m.environment is PRODUCTION for m in tester.messages) == 1


def test_an_approval_of_something_that_was_never_asked_is_refused() -> None:
    stranger = asked(WorkflowTester(Change, conversation_id="another").given(*story.WAY))
    (refusal,) = change(7).receives(story.grant(stranger))
    assert isinstance(refusal, ApprovalRefused)
    assert refusal.code == "unknown_approval"


def test_a_no_ends_the_change() -> None:
    tester = change(7)
    (order,) = tester.receives(story.deny(asked(tester)))
    assert isinstance(order, TicketCloseRequest)
    assert order.outcome is ChangeOutcome.DECLINED
    assert tester.approvals[asked(tester).approval_id].state is ApprovalState.DENIED


def test_nobodys_decision_in_time_escalates_opens_the_gate_anew_and_then_expires() -> None:
    tester = change(7)
    first = asked(tester)
    told = tester.advance(minutes(30))
    assert [type(m) for m in told] == [EscalationRaised, EscalationRaised, ApprovalRequest]
    assert [addressed.receiver for addressed in tester.sent[-3:]] == [DEVOPS, CONSOLE, CONSOLE]
    second = asked(tester)
    assert second.approval_id != first.approval_id
    assert second.digest == first.digest
    (refusal,) = tester.receives(story.grant(first))
    assert isinstance(refusal, ApprovalRefused)
    assert refusal.code == "already_void"
    tester.advance(minutes(30))
    assert tester.state == "closing"
    assert tester.data.outcome is ChangeOutcome.EXPIRED
    assert tester.approvals[second.approval_id].state is ApprovalState.VOID


def test_a_gate_that_was_opened_anew_can_be_passed() -> None:
    tester = change(7)
    tester.advance(minutes(30))
    (order,) = tester.receives(story.grant(asked(tester)))
    assert isinstance(order, InfrastructureApply)
    assert tester.state == "approved"


@pytest.mark.parametrize("steps", range(1, 8))
def test_a_state_that_waits_in_vain_escalates_once_and_then_expires(steps: int) -> None:
    tester = change(steps)
    state = Change.table.states[tester.state]
    assert state.deadline is not None
    before = len(tester.sent)
    tester.advance(state.deadline)
    assert sum(isinstance(m, EscalationRaised) for m in tester.messages[before:]) == 2
    assert tester.state == state.name
    tester.advance(hours(1))
    assert tester.data.outcome is ChangeOutcome.EXPIRED
    tester.advance(hours(1))
    assert tester.state == "expired"
    assert sum(isinstance(m, TicketCloseRequest) for m in tester.messages) == 1


def test_a_step_in_time_ends_the_escalation() -> None:
    tester = change(4)
    tester.advance(hours(4))
    assert tester.data.escalated
    tester.given(story.review())
    assert not tester.data.escalated


def test_an_unknown_apply_is_looked_at_before_anything_else_happens() -> None:
    tester = approved()
    (look,) = tester.receives(UNKNOWN, sender=DEVOPS)
    assert isinstance(look, ReconciliationRequest)
    assert tester.state == "apply_unknown"
    (refusal,) = tester.receives(story.grant(asked(tester)))
    assert isinstance(refusal, ApprovalRefused)
    (check,) = tester.receives(story.reconciled(PRODUCTION, "applied"))
    assert isinstance(check, VerificationRequest)
    assert tester.state == "applied"


@pytest.mark.parametrize("outcome", ["partly_applied", "not_applied"])
def test_what_an_unknown_apply_left_undone_is_planned_anew_and_approved_anew(outcome: str) -> None:
    tester = approved()
    tester.receives(UNKNOWN, sender=DEVOPS)
    found = story.reconciled(PRODUCTION, "not_applied").model_copy(update={"outcome": outcome})
    assert [type(m) for m in tester.receives(found)] == [PlanRequest]
    tester.given(story.plan(2), story.review(2), story.applied(TEST, 2), story.verified(TEST))
    assert tester.state == "verified_test"
    assert asked(tester).digest == story.plan(2).plan_digest


def test_drift_voids_the_approval_and_after_three_new_plans_people_must_look() -> None:
    tester = change(5)
    for number in range(1, 5):
        assert tester.state == "approved_test"
        tester.receives(story.drift(TEST, number))
        if number < 4:
            tester.given(story.plan(number + 1), story.review(number + 1))
    assert tester.state == "closing"
    assert tester.data.outcome is ChangeOutcome.FAILED


def test_a_result_of_the_test_environment_says_nothing_about_production() -> None:
    tester = approved()
    assert not tester.receives(story.applied(TEST))
    assert tester.state == "approved"
    tester.given(story.applied(PRODUCTION))
    assert not tester.receives(story.verified(TEST))
    assert tester.state == "applied"
    assert actions(tester)[-1] == "result_of_something_else"


@pytest.mark.parametrize("verdict", [CheckVerdict.FAIL, CheckVerdict.UNKNOWN, CheckVerdict.WAIVED])
def test_what_is_not_proven_to_be_as_specified_ends_the_change(verdict: CheckVerdict) -> None:
    tester = change(6)
    (order,) = tester.receives(story.verified(TEST, verdict))
    assert isinstance(order, TicketCloseRequest)
    assert order.outcome is ChangeOutcome.FAILED


def test_a_review_of_another_revision_does_not_count() -> None:
    tester = change(4)
    assert not tester.receives(story.review(2))
    assert tester.state == "planned"


def test_a_rejected_plan_ends_the_change() -> None:
    tester = change(4)
    tester.receives(story.review(verdict="rejected"))
    assert tester.data.outcome is ChangeOutcome.DECLINED


def test_a_production_plan_without_a_rehearsal_is_never_applied() -> None:
    tester = change(3).given(story.plan(rehearsed=False), story.review())
    assert tester.data.outcome is ChangeOutcome.FAILED
    assert not any(isinstance(m, InfrastructureApply) for m in tester.messages)


@pytest.mark.parametrize("outcome", ["declined", "failed"])
def test_one_peer_that_does_not_accept_ends_the_change(outcome: str) -> None:
    tester = approved().given(*story.TO_THE_END[:4])
    answer = story.handoff(QA).model_copy(update={"outcome": outcome})
    assert [type(m) for m in tester.receives(answer)] == [TicketCloseRequest]
    assert tester.data.outcome == outcome


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (TaskDeclined(code="unsupported", reason="not possible"), "declined"),
        (TaskFailed(code="failed", reason="it broke"), "failed"),
    ],
)
def test_only_who_was_ordered_may_decline_or_fail(answer: Message, outcome: str) -> None:
    tester = change(3)
    assert not tester.receives(answer, sender=BACKEND)
    assert tester.state == "estimated"
    assert actions(tester)[-1] == "not_theirs_to_say"
    tester.receives(answer, sender=DEVOPS)
    assert tester.data.outcome == outcome


def test_only_people_may_cancel() -> None:
    tester = change(3)
    tester.receives(TaskCancelled(reason="spoofed"), sender=SECURITY)
    assert tester.state == "estimated"
    tester.receives(TaskCancelled(reason="no longer wanted"), sender=CONSOLE)
    assert tester.state == "closing"


def test_nothing_is_cancelled_once_the_ticket_is_being_closed() -> None:
    tester = approved().given(*story.TO_THE_END[:-1])
    assert not tester.receives(TaskCancelled(reason="too late"), sender=CONSOLE)
    assert tester.given(story.TO_THE_END[-1]).state == "done"


def test_a_change_ends_though_its_ticket_cannot_be_closed() -> None:
    tester = approved().given(*story.TO_THE_END[:-1])
    (conclusion,) = tester.receives(TaskFailed(code="jira_down", reason="503"), sender=DEVOPS)
    assert isinstance(conclusion, ChangeConcluded)
    assert "could not be closed" in conclusion.reason
    assert tester.state == "done"


def test_an_order_that_was_found_too_late_is_on_record_and_leaves_the_decision_to_the_deadline() -> None:
    tester = change(3)
    missed = DeadlineExceeded(request_id=tester.conversation_id, request_type="plan_request", deadline=tester.now)
    assert not tester.receives(missed, sender=DEVOPS)
    assert tester.state == "estimated"
    assert actions(tester)[-1] == "deadline_exceeded"


def test_asking_again_joins_the_change_while_it_lasts_and_is_declined_after_its_end() -> None:
    again = ChangeRequested(jira_issue=story.ISSUE, requested_by="someone else")
    tester = change(3)
    assert not tester.receives(again)
    tester.receives(TaskCancelled(reason="no longer wanted"), sender=CONSOLE)
    tester.receives(TicketClosed(jira_issue=story.ISSUE, status="Done", comment_id="1", attachments=()))
    (answer,) = tester.receives(again)
    assert isinstance(answer, TaskDeclined)
    assert answer.code == "already_ended"
    assert tester.state == "declined"


def test_what_a_state_cannot_use_is_on_record_and_changes_nothing() -> None:
    tester = change(2)
    data = tester.data
    assert not tester.receives(story.applied(PRODUCTION))
    assert (tester.state, tester.data) == ("analysing", data)
    assert tester.audit[-1].action == "ignored"
    assert tester.audit[-1].details == {"message": "infrastructure_applied", "state": "analysing"}


@pytest.mark.parametrize("message", [TaskCancelled(reason="x"), TaskFailed(code="x", reason="x")])
def test_nothing_ends_that_has_not_begun(message: Message) -> None:
    tester = change()
    assert not tester.receives(message, sender=CONSOLE)
    assert tester.state == "received"


def test_the_stored_state_is_the_state() -> None:
    tester = approved()
    assert ChangeData.model_validate_json(tester.data.model_dump_json()) == tester.data


@pytest.mark.parametrize(
    ("answer", "outcome"), [("declined", ChangeOutcome.DECLINED), ("failed", ChangeOutcome.FAILED)]
)
def test_a_plan_that_security_does_not_review_ends_the_change_at_once(
    answer: Literal["declined", "failed"], outcome: ChangeOutcome
) -> None:
    tester = change(4)
    (closing,) = tester.receives(story.handoff(SECURITY, answer))
    assert isinstance(closing, TicketCloseRequest)
    assert (tester.state, closing.outcome) == ("closing", outcome)


def test_what_another_peer_answers_while_a_plan_is_reviewed_changes_nothing() -> None:
    tester = change(4)
    assert tester.receives(story.handoff(QA, "failed")) == []
    assert tester.state == "planned"
