"""Who speaks in the small world: a workflow that gives an order with notes, and an agent that carries it out.

Both are ordinary agents; what they meet outside of the bus is handed in. They know neither faults nor seeds.
"""

from __future__ import annotations

__all__ = [
    "ANSWERER",
    "ASKER",
    "CLIENT",
    "DEADLINE",
    "PATIENCE",
    "SILENT",
    "Concluded",
    "Done",
    "Errand",
    "Note",
    "Order",
    "Outside",
    "Start",
    "answerer",
    "asker",
]

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel

from interlock.agents.agent import Addressed, Agent, to
from interlock.agents.context import Context
from interlock.agents.outbound import commit_of
from interlock.agents.workflow import host
from interlock.agents.workflow.definition import State, Timeout, on
from interlock.agents.workflow.workflow import OVERDUE, Workflow
from interlock.bus.store.records import Commit, WorkflowRow
from interlock.protocol import catalogue as catalogues
from interlock.protocol.message import ANY, Effect, Event, Message, Reply, Request, Route
from interlock.protocol.messages.task import DeadlineExceeded, TaskCancelled, TaskDeclined, TaskFailed
from interlock.protocol.values import ShortText

ASKER, ANSWERER, CLIENT = "asker-agent", "answerer-agent", "client-agent"
DEADLINE = 2.0
"""Seconds within which an order is to be carried out."""
SILENT = "silent"
"""An order that is carried out and never answered: only a timer concludes it."""
PATIENCE = 6.0
"""Seconds after which the asker concludes without an answer."""


class Start(Event, type="sim_start", route=Route.of(CLIENT, ASKER)):
    """The client wants something done."""

    text: ShortText
    notes: int


class Done(Reply, type="sim_done", route=Route.of(ANY, ANY)):
    """It is done."""

    receipt: ShortText


class Order(
    Request, type="sim_order", route=Route.of(ANY, ANY), replies=(Done,), effect=Effect.REVERSIBLE, deadline=DEADLINE
):
    """Asks for one effect."""

    text: ShortText


class Note(Event, type="sim_note", route=Route.of(ANY, ANY)):
    """Something to be written down behind the order."""

    number: int


class Concluded(Event, type="sim_concluded", route=Route.of(ASKER, CLIENT)):
    """What has become of it: the one terminal state."""

    verdict: ShortText
    changed: int = 0
    """How many effects the answer admits to."""


CATALOGUE = catalogues.CATALOGUE.with_messages(Start, Done, Order, Note, Concluded)


class _Errand(BaseModel):
    """What the workflow remembers."""

    order: str = ""


class Errand(Workflow[_Errand]):
    """One order from start to conclusion."""

    kind = "errand"
    data_type = _Errand

    idle = State(initial=True)
    asked = State(deadline=PATIENCE)
    concluded = State(final=True)

    @on(Start, source=idle, target=asked)
    def start(self, start: Start) -> Sequence[Addressed]:
        notes = [to(ANSWERER, Note(number=number)) for number in range(1, start.notes + 1)]
        return [to(ANSWERER, Order(text=start.text)), *notes]

    @on(Done, source=asked, target=concluded)
    def done(self, _: Done) -> Addressed:
        return to(CLIENT, Concluded(verdict="done", changed=1))

    @on(TaskFailed, source=asked, target=concluded)
    def failed(self, failed: TaskFailed) -> Addressed:
        verdict = "unknown" if failed.outcome == "unknown" else "failed"
        return to(CLIENT, Concluded(verdict=verdict, changed=len(failed.side_effects)))

    @on(TaskCancelled, TaskDeclined, DeadlineExceeded, source=asked, target=concluded)
    def unchanged(self, answer: Message) -> Addressed:
        return to(CLIENT, Concluded(verdict=answer.declaration.type))

    @on(Timeout(OVERDUE), source=asked, target=concluded)
    def overdue(self) -> Addressed:
        return to(CLIENT, Concluded(verdict="overdue"))


class Outside(Protocol):
    """What the answerer meets beyond the bus: the world that is changed, and those who watch it being changed."""

    async def change(self, conversation: str) -> str:
        """Change it."""
        ...

    async def work(self) -> None:
        """Take the time that work takes, and fail now and then."""
        ...

    def begins(self, conversation: str, *, attempt: int, deadline: datetime | None, now: datetime) -> None:
        """See a handler begin."""
        ...

    def ends(self, conversation: str) -> None:
        """See it come to its end."""
        ...


def asker() -> Agent:
    """Return the agent that runs errands."""
    agent = Agent(ASKER, catalogue=CATALOGUE)
    host(agent, Errand)
    return agent


def answerer(outside: Outside) -> Agent:
    """Return the agent that carries orders out; its state is the list of what it was told in a conversation."""
    agent = Agent(ANSWERER, catalogue=CATALOGUE)

    @agent.on
    async def carry_out(order: Order, context: Context) -> Commit:
        conversation = context.conversation_id
        outside.begins(conversation, attempt=context.attempt, deadline=context.deadline, now=context.clock.now())
        await outside.work()
        receipt = await context.once("pay", lambda: outside.change(conversation), request=order.text)
        await outside.work()
        commit = await _written_down("order", None if order.text == SILENT else Done(receipt=receipt), context)
        outside.ends(conversation)
        return commit

    @agent.on
    async def write_down(note: Note, context: Context) -> Commit:
        return await _written_down(str(note.number), None, context)

    return agent


async def _written_down(line: str, answer: Message | None, context: Context) -> Commit:
    row = await context.store.workflow(context.conversation_id)
    lines = [*(json.loads(row.state) if row else []), line]
    now = context.clock.now()
    commit = commit_of(answer, agent=context.agent, cause=context.envelope, now=now)
    return replace(
        commit,
        workflow=WorkflowRow(
            id=context.conversation_id,
            kind="notebook",
            version=row.version + 1 if row else 1,
            status="open",
            ended=False,
            state=json.dumps(lines).encode(),
            updated_at=now,
        ),
    )
