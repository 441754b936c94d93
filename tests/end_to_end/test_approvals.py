"""Gates: only the right person's yes to the right digest, in time and once, moves a change on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from end_to_end.desk import Desk, denial, grant
from end_to_end.movable_clock import MovableClock
from end_to_end.outside import Outside, ticket
from interlock.agents.demo.stage import MemoryStage
from interlock.bus.store.records import ApprovalState, AuditRow
from interlock.protocol.ids import new_id
from interlock.protocol.messages.approval import ApprovalRefused, ApprovalRequest, ApprovalSubject
from interlock.protocol.messages.change import ChangeConcluded, ChangeOutcome, EscalationRaised
from interlock.protocol.messages.task import InputRequired

OTHER = f"sha256:{'0' * 64}"


@pytest.fixture
def clock() -> MovableClock:
    return MovableClock()


@pytest.fixture
async def desk(outside: Outside, tmp_path: Path, clock: MovableClock) -> AsyncIterator[Desk]:
    """The console of a team whose time the test can move on."""
    async with MemoryStage(tmp_path, settings=outside.settings, clock=clock) as stage, Desk.at(stage) as desk:
        yield desk


@dataclass(frozen=True)
class Waiting:
    """A change that waits for a person."""

    desk: Desk
    issue: str
    request: ApprovalRequest


@pytest.fixture(scope="module")
async def waiting(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Waiting]:
    directory = tmp_path_factory.mktemp("waiting")
    async with MemoryStage(directory, settings=outside.settings) as stage, Desk.at(stage) as desk:
        issue = await outside.raise_issue(ticket("over-budget", identifier="prod-refused"))
        await desk.ask_for(issue)
        yield Waiting(desk, issue, await desk.hear(ApprovalRequest, issue=issue))


async def refusals(desk: Desk, issue: str) -> list[AuditRow]:
    return [row for row in (await desk.record(issue)).audit if row.entry.action == "approval_refused"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        pytest.param({"digest": OTHER}, "other_digest", id="for another digest"),
        pytest.param({"subject": ApprovalSubject.PLAN}, "other_digest", id="for another subject"),
        pytest.param({"approval_id": new_id()}, "unknown_approval", id="that nobody asked for"),
        pytest.param({"approver": "product-owner"}, "own_change", id="by the author"),
        pytest.param({"approver": "Product-Owner"}, "own_change", id="by the author in other letters"),
        pytest.param({"approver": "console-user"}, "own_change", id="by who asked for the change"),
        pytest.param({"approver": "security-agent"}, "not_a_person", id="by an agent of the team"),
        pytest.param({"approver": "cost-agent"}, "not_a_person", id="by an agent of elsewhere"),
        pytest.param({"approver": "policy:non-production"}, "not_a_person", id="by a policy"),
    ],
)
async def test_a_wrong_approval_is_refused_on_record_and_moves_nothing(
    waiting: Waiting, outside: Outside, changes: dict[str, object], code: str
) -> None:
    desk, issue = waiting.desk, waiting.issue
    before = await refusals(desk, issue)
    wrong = grant(waiting.request, by="budget-owner", **changes)

    await desk.say(wrong, issue=issue)
    refused = await desk.hear(ApprovalRefused, issue=issue)

    assert (refused.code, refused.approval_id, refused.approver) == (code, wrong.approval_id, wrong.approver)
    (row,) = (await refusals(desk, issue))[len(before) :]
    assert (row.entry.details["code"], row.entry.details["approver"]) == (code, wrong.approver)
    (approval,) = (await desk.record(issue)).approvals
    assert approval.state is ApprovalState.OPEN
    assert await outside.statuses(issue) == []


async def test_after_wrong_approvals_of_a_plan_the_right_one_is_accepted_once(desk: Desk, outside: Outside) -> None:
    issue = await outside.raise_issue(ticket("proj-140", identifier="prod-gates"))
    await desk.ask_for(issue)
    budget = await desk.hear(ApprovalRequest, issue=issue)
    await desk.say(grant(budget, by="budget-owner"), issue=issue)
    plan = await desk.hear(ApprovalRequest, issue=issue)
    assert plan.subject is ApprovalSubject.PLAN

    codes = []
    for wrong in (
        grant(plan, digest=OTHER),
        grant(plan, by="product-owner"),
        grant(plan, by="devops-agent"),
        grant(budget, by="budget-owner"),
    ):
        await desk.say(wrong, issue=issue)
        codes.append((await desk.hear(ApprovalRefused, issue=issue)).code)

    assert codes == ["other_digest", "own_change", "not_a_person", "already_used"]
    assert await outside.instance("prod-gates") is None

    await desk.say(grant(plan), issue=issue)
    await desk.say(grant(plan), issue=issue)
    end = await desk.hear(ChangeConcluded, issue=issue)

    assert end.outcome is ChangeOutcome.ACCEPTED, end.reason
    assert (await desk.hear(ApprovalRefused, issue=issue)).code == "already_used"
    assert [row.entry.details["code"] for row in await refusals(desk, issue)] == [*codes, "already_used"]
    record = await desk.record(issue)
    applied = [e.payload.environment for e in record.envelopes if e.type == "infrastructure_applied"]
    assert applied == ["test", "production"]


async def test_an_approval_that_nobody_gave_in_time_is_replaced_and_the_old_one_refused(
    desk: Desk, outside: Outside, clock: MovableClock
) -> None:
    issue = await outside.raise_issue(ticket("over-budget", identifier="prod-late"))
    await desk.ask_for(issue)
    late = await desk.hear(ApprovalRequest, issue=issue)

    clock.move(minutes=31)
    escalation = await desk.hear(EscalationRaised, issue=issue)
    fresh = await desk.hear(ApprovalRequest, issue=issue)
    await desk.say(grant(late, by="budget-owner"), issue=issue)
    refused = await desk.hear(ApprovalRefused, issue=issue)

    assert (escalation.state, escalation.waiting_for) == ("over_budget", "an approver")
    assert (fresh.digest, fresh.approval_id != late.approval_id) == (late.digest, True)
    assert refused.code == "already_void"
    assert len(await refusals(desk, issue)) == 1

    await desk.say(denial(fresh, by="budget-owner", reason="not this quarter"), issue=issue)
    assert (await desk.hear(ChangeConcluded, issue=issue)).outcome is ChangeOutcome.DECLINED


async def test_a_change_that_nobody_decides_about_expires_and_the_ticket_says_so(
    desk: Desk, outside: Outside, clock: MovableClock
) -> None:
    issue = await outside.raise_issue(ticket("over-budget", identifier="prod-forgotten"))
    await desk.ask_for(issue)
    await desk.hear(ApprovalRequest, issue=issue)

    clock.move(minutes=31)
    await desk.hear(EscalationRaised, issue=issue)
    clock.move(minutes=31)
    end = await desk.hear(ChangeConcluded, issue=issue)

    assert (end.outcome, end.reason) == (ChangeOutcome.EXPIRED, "an approver did not answer in over_budget")
    assert "an approver did not answer" in "\n".join(await outside.comments(issue)).replace("\\", "")
    (told,) = await outside.chat(issue)
    assert told["channel"] == "ops"


async def test_an_approval_while_facts_are_missing_opens_nothing(desk: Desk, outside: Outside) -> None:
    issue = await outside.raise_issue(ticket("over-budget", identifier="prod-early"))
    other = await outside.raise_issue(ticket("missing-facts"))
    await desk.ask_for(issue)
    await desk.ask_for(other)
    request = await desk.hear(ApprovalRequest, issue=issue)
    await desk.hear(InputRequired, issue=other)

    await desk.say(grant(request, by="budget-owner"), issue=other)
    refused = await desk.hear(ApprovalRefused, issue=other)

    assert refused.code == "unknown_approval"
    assert len(await refusals(desk, other)) == 1
