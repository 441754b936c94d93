"""A step is decided by state, message and occasion alone; everything else goes on record."""

from __future__ import annotations

import pytest

from agents.at_work import PEER
from agents.workflow.loan import Borrowed, Loan, LoanData, Renewed, Returned
from interlock.agents.testing import WorkflowTester
from interlock.agents.workflow import ANY_STATE, State, Timeout, Workflow, on
from interlock.agents.workflow.definition import Table
from interlock.protocol.errors import UsageError
from interlock.protocol.messages.task import InputProvided

BOOK = Borrowed(title="Emma")


@pytest.fixture
def loan() -> WorkflowTester[LoanData]:
    return WorkflowTester(Loan).given(BOOK)


def test_a_step_moves_on_to_its_only_target(loan: WorkflowTester[LoanData]) -> None:
    assert loan.state == "lent"
    assert loan.data == LoanData(title="Emma")
    assert [entry.action for entry in loan.audit] == ["lent"]


def test_a_step_with_several_targets_stays_unless_it_chooses(loan: WorkflowTester[LoanData]) -> None:
    assert loan.receives(BOOK) == [Renewed(times=1)]
    assert loan.state == "lent"
    loan.receives(Borrowed(title="Persuasion"))
    assert loan.state == "missed"


def test_what_is_not_addressed_goes_to_the_only_receiver_of_its_route(loan: WorkflowTester[LoanData]) -> None:
    loan.receives(BOOK)
    assert loan.sent[-1].receiver == PEER


def test_a_message_that_the_state_cannot_use_is_ignored_on_record(loan: WorkflowTester[LoanData]) -> None:
    loan.given(Returned())
    assert loan.ended
    assert loan.receives(BOOK) == []
    assert loan.audit[-1].action == "ignored"
    assert loan.audit[-1].details == {"message": "borrowed", "state": "back"}


def test_any_state_means_neither_the_first_nor_a_final_one() -> None:
    assert WorkflowTester(Loan).given(Returned()).state == "on_the_shelf"


def test_timers_fire_at_their_moments_and_in_their_order(loan: WorkflowTester[LoanData]) -> None:
    begun = loan.now
    assert loan.advance(899.0) == []
    assert loan.advance(1.0) == [Renewed(times=0)]
    assert loan.advance(100.0) == []
    assert loan.state == "missed"
    assert (loan.now - begun).total_seconds() == 1000.0


def test_leaving_a_state_ends_its_deadline_and_a_cancelled_timer_stays_silent(loan: WorkflowTester[LoanData]) -> None:
    loan.given(Returned())
    assert loan.timers == {}
    assert loan.advance(10_000.0) == []


def test_the_same_story_gives_the_same_result() -> None:
    first, second = (WorkflowTester(Loan).given(BOOK, BOOK, Returned()) for _ in range(2))
    assert (first.state, first.data, first.sent, first.audit) == (second.state, second.data, second.sent, second.audit)


def test_a_sender_has_to_be_named_where_the_route_has_several() -> None:
    with pytest.raises(UsageError, match="sender="):
        WorkflowTester(Loan).receives(InputProvided(answers={}))


def test_a_trigger_has_one_step_in_a_state() -> None:
    out = State(initial=True)
    out.name = "out"

    @on(Returned, source=out)
    def one() -> None: ...

    @on(Returned, source=out)
    def two() -> None: ...

    with pytest.raises(UsageError, match="returned has two steps in state out"):
        Table.of({"out": out, "one": one, "two": two})


@pytest.mark.parametrize("count", [0, 2])
def test_a_workflow_has_one_initial_state(count: int) -> None:
    states = {name: State(initial=number < count) for number, name in enumerate(("one", "two"))}
    with pytest.raises(UsageError, match="exactly one initial state"):
        Table.of(states)


def test_a_state_that_was_not_declared_as_target_cannot_be_entered() -> None:
    class Strange(Workflow[LoanData]):
        kind = "strange"
        data_type = LoanData
        one, two, three = State(initial=True), State(), State()

        @on(Returned, source=one, target=two)
        def leave(self, _: Returned) -> None:
            self.goto(self.three)

    with pytest.raises(UsageError, match="returned may go to"):
        WorkflowTester(Strange).given(Returned())


def test_one_step_of_any_state_gives_way_to_a_states_own() -> None:
    class Precise(Workflow[LoanData]):
        kind = "precise"
        data_type = LoanData
        one, two, three = State(initial=True), State(), State(final=True)

        @on(Borrowed, source=one, target=two)
        def begin(self, _: Borrowed) -> None: ...

        @on(Timeout("a"), Timeout("b"), source=ANY_STATE, target=three)
        def anywhere(self) -> None: ...

        @on(Timeout("b"), source=two)
        def here(self) -> None: ...

    assert Precise.table.timers() == ("a", "b")
    assert Precise.table.messages() == (Borrowed,)
    own, general = Precise.table.step(Timeout("b"), "two"), Precise.table.step(Timeout("a"), "two")
    assert own is not None
    assert general is not None
    assert (own.targets, general.targets) == ((), (Precise.three,))
