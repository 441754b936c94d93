"""Lets an agent run workflows: loads the stored state, takes the step, and returns everything as one commit."""

from __future__ import annotations

__all__ = ["host"]

from typing import Any

from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.outbound import enclose
from interlock.agents.timer import TimerFired
from interlock.agents.workflow.workflow import Occasion, Workflow
from interlock.bus.store.records import Commit, TimerRow, WorkflowRow
from interlock.protocol.message import Message


def host(agent: Agent, kind: type[Workflow[Any]]) -> None:
    """Have the agent run this kind of workflow, one per conversation."""

    async def react(message: Message, context: Context) -> Commit:
        row = await context.store.workflow(context.conversation_id)
        workflow = _load(kind, row, context)
        taken = workflow.react(message)
        return _commit(agent, workflow, row, context) if taken else Commit(audit=tuple(workflow.changes.audit))

    async def wake(timer: TimerFired, context: Context) -> Commit:
        row = await context.store.workflow(context.conversation_id)
        workflow = _load(kind, row, context)
        taken = workflow.wake(timer.name)
        return _commit(agent, workflow, row, context) if taken else Commit(audit=tuple(workflow.changes.audit))

    for message in kind.table.messages():
        agent.handle(message, react)
    for name in kind.table.timers():
        agent.handle_timer(name, wake)


def _load(kind: type[Workflow[Any]], row: WorkflowRow | None, context: Context) -> Workflow[Any]:
    """Return the workflow as stored, or a new one."""
    occasion = Occasion(
        now=context.clock.now(),
        sender=context.sender,
        message_id=context.envelope.id,
        conversation_id=context.conversation_id,
    )
    if row is None:
        return kind(state=kind.table.initial.name, data=kind.data_type(), occasion=occasion)
    return kind(state=row.status, data=kind.data_type.model_validate_json(row.state), occasion=occasion)


def _commit(agent: Agent, workflow: Workflow[Any], row: WorkflowRow | None, context: Context) -> Commit:
    conversation, now, changes = context.conversation_id, workflow.occasion.now, workflow.changes
    return Commit(
        outgoing=tuple(
            enclose(
                addressed.message,
                agent=agent.name,
                receiver=addressed.receiver,
                cause=context.envelope,
                ordinal=str(ordinal),
                now=now,
            )
            for ordinal, addressed in enumerate(changes.outgoing)
        ),
        workflow=WorkflowRow(
            id=conversation,
            kind=workflow.kind,
            version=row.version + 1 if row else 1,
            status=workflow.state,
            ended=workflow.ended,
            state=workflow.data.model_dump_json().encode(),
            updated_at=now,
        ),
        set_timers=tuple(
            TimerRow(conversation_id=conversation, name=name, due_at=due)
            for name, due in changes.timers.items()
            if due is not None
        ),
        cancel_timers=tuple((conversation, name) for name, due in changes.timers.items() if due is None),
        approvals=tuple(changes.approvals),
        audit=tuple(changes.audit),
    )
