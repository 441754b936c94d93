"""A small workflow for tests: a book is lent, and comes back, or is missed."""

from __future__ import annotations

__all__ = ["LENT", "Borrowed", "Loan", "LoanData", "Renewed", "Returned"]

from pydantic import BaseModel

from agents.at_work import AGENT, PEER
from interlock.agents.agent import Answer, to
from interlock.agents.workflow import ANY_STATE, State, Timeout, Workflow, on
from interlock.protocol.catalogue import CATALOGUE
from interlock.protocol.message import Event, Message, Reply, Request, Route
from interlock.protocol.values import ShortText


class Renewed(Reply, type="renewed", route=Route.of(AGENT, PEER)):
    """The loan was prolonged, or its end is near."""

    times: int


class Borrowed(Request, type="borrowed", route=Route.of(PEER, AGENT), replies=(Renewed,)):
    """Somebody takes a book, or wants to keep it."""

    title: ShortText


class Returned(Event, type="returned", route=Route.of(PEER, AGENT)):
    """The book is back."""


LENT = CATALOGUE.with_messages(Borrowed, Renewed, Returned)


class LoanData(BaseModel, frozen=True):
    """What a loan remembers."""

    title: str = ""
    renewals: int = 0


class Loan(Workflow[LoanData]):
    """One book in one reader's hands."""

    kind = "loan"
    data_type = LoanData

    on_the_shelf = State(initial=True)
    lent = State(deadline=1000.0, waits_for="the reader")
    missed = State(waits_for="the reader")
    back = State(final=True)

    @on(Borrowed, source=on_the_shelf, target=lent)
    def lend(self, borrowed: Borrowed) -> None:
        self.update(title=borrowed.title)
        self.set_timer("reminder", 900.0)
        self.record("lent", title=borrowed.title)

    @on(Borrowed, source=lent, target=(lent, missed))
    def renew(self, borrowed: Borrowed) -> Renewed:
        self.update(renewals=self.data.renewals + 1)
        if borrowed.title != self.data.title:
            self.goto(self.missed)
        return Renewed(times=self.data.renewals)

    @on(Timeout("reminder"), source=lent)
    def remind(self) -> Answer:
        return to(PEER, Renewed(times=self.data.renewals))

    @on(Timeout("overdue"), source=lent, target=missed)
    def miss(self) -> None: ...

    @on(Returned, source=ANY_STATE, target=back)
    def take_back(self, _: Message) -> None:
        self.cancel_timer("reminder")
