"""An agent that hosts a workflow stores each step whole: state, messages, timers and audit lines together."""

from __future__ import annotations

from agents.at_work import AGENT
from agents.workflow.loan import LENT, Borrowed, Loan, LoanData, Renewed, Returned
from interlock.agents.agent import Agent
from interlock.agents.testing import AgentTester
from interlock.agents.workflow import host
from interlock.protocol.ids import new_id

BOOK = Borrowed(title="Emma")


def library() -> Agent:
    agent = Agent(AGENT, catalogue=LENT)
    host(agent, Loan)
    return agent


async def test_a_step_is_stored_with_its_version_and_goes_on_from_there() -> None:
    conversation = new_id()
    async with AgentTester(library()) as tester:
        assert await tester.receives(BOOK, conversation_id=conversation) == []
        assert await tester.receives(BOOK, conversation_id=conversation) == [Renewed(times=1)]
        row = await tester.store.workflow(conversation)
        assert row is not None
        assert (row.kind, row.version, row.status, row.ended) == ("loan", 2, "lent", False)
        assert LoanData.model_validate_json(row.state) == LoanData(title="Emma", renewals=1)


async def test_each_conversation_is_a_workflow_of_its_own() -> None:
    async with AgentTester(library()) as tester:
        for _ in range(3):
            await tester.receives(BOOK)
        assert [row.version for row in await tester.store.workflows()] == [1, 1, 1]


async def test_timers_wake_the_workflow_at_their_moments() -> None:
    conversation = new_id()
    async with AgentTester(library()) as tester:
        await tester.receives(BOOK, conversation_id=conversation)
        assert await tester.advance(899.0) == []
        assert await tester.advance(2.0) == [Renewed(times=0)]
        assert tester.sent[-1].conversation_id == conversation
        assert await tester.advance(1000.0) == []
        row = await tester.store.workflow(conversation)
        assert row is not None
        assert row.status == "missed"


async def test_what_the_state_cannot_use_is_on_record_and_leaves_no_workflow_behind() -> None:
    conversation = new_id()
    async with AgentTester(library()) as tester:
        await tester.receives(Returned(), conversation_id=conversation)
        assert await tester.store.workflow(conversation) is None
        (line,) = await tester.store.audit(conversation_id=conversation)
        assert (line.entry.action, line.entry.details["state"]) == ("ignored", "on_the_shelf")


async def test_the_end_of_a_workflow_is_stored_and_its_timers_are_gone() -> None:
    conversation = new_id()
    async with AgentTester(library()) as tester:
        await tester.receives(BOOK, conversation_id=conversation)
        await tester.receives(Returned(), conversation_id=conversation)
        row = await tester.store.workflow(conversation)
        assert row is not None
        assert row.ended
        assert await tester.store.next_due() is None
