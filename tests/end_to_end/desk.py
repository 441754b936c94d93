"""The console in the hands of a test: it says things to the coordinator, and waits for what the team answers."""

from __future__ import annotations

__all__ = ["Desk", "denial", "grant"]

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import anyio

from interlock.agents.demo.people import People
from interlock.agents.demo.record import Record, gather
from interlock.agents.demo.stage import Stage
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.transport import Outgoing
from interlock.protocol.codec import decode, encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import conversation_of
from interlock.protocol.message import Message
from interlock.protocol.messages.approval import ApprovalDenied, ApprovalGranted, ApprovalRequest
from interlock.protocol.messages.change import ChangeConcluded, ChangeOutcome, ChangeRequested
from interlock.protocol.messages.task import InputRequired
from interlock.protocol.roles import CONSOLE, COORDINATOR

MessageT = TypeVar("MessageT", bound=Message)

_PATIENCE = 120.0


def grant(request: ApprovalRequest, *, by: str = "operator", **changes: object) -> ApprovalGranted:
    """Return the yes to exactly what was asked, or to something else in the members that are given."""
    answer = ApprovalGranted(
        approval_id=request.approval_id, subject=request.subject, digest=request.digest, approver=by
    )
    return answer.model_copy(update=changes)


def denial(request: ApprovalRequest, *, by: str = "operator", reason: str) -> ApprovalDenied:
    """Return the no to exactly what was asked."""
    return ApprovalDenied(
        approval_id=request.approval_id,
        subject=request.subject,
        digest=request.digest,
        approver=by,
        reason=reason,
    )


class Desk:
    """Hears everything that is said to the console, and keeps it until a test asks for it."""

    def __init__(self, stage: Stage, *, clock: Clock | None = None) -> None:
        """`clock` is the time of whoever sits there; None: the system's."""
        self.stage = stage
        self.said: list[Envelope[Any]] = []
        self._heard: list[Envelope[Any]] = []
        self._news = anyio.Event()
        self._clock = clock or SystemClock()

    @classmethod
    @asynccontextmanager
    async def at(cls, stage: Stage, *, clock: Clock | None = None) -> AsyncGenerator[Desk]:
        """Sit down at the console of a team at work."""
        desk = cls(stage, clock=clock)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk._listen)
            yield desk
            tasks.cancel_scope.cancel()

    async def _listen(self) -> None:
        async with self.stage.console.consume(prefetch=10) as deliveries:
            async for delivery in deliveries:
                self._heard.append(decode(delivery.body))
                await delivery.ack()
                self._news.set()

    async def say(self, message: Message, *, issue: str) -> None:
        """Publish a message to the coordinator, in the conversation of an issue."""
        envelope = Envelope.wrap(
            message,
            sender=CONSOLE,
            receiver=COORDINATOR,
            sent_at=self._clock.now(),
            conversation_id=conversation_of(issue),
        )
        self.said.append(envelope)
        await self.stage.console.publish(
            Outgoing(
                body=encode(envelope),
                message_id=envelope.id,
                sender=CONSOLE,
                receiver=COORDINATOR,
                type=envelope.type,
                conversation_id=envelope.conversation_id,
                sent_at=envelope.sent_at,
                causation_id=envelope.causation_id,
            )
        )

    async def ask_for(self, issue: str, *, by: str = "console-user") -> None:
        """Request the change that a ticket describes."""
        await self.say(ChangeRequested(jira_issue=issue, requested_by=by), issue=issue)

    async def hear(self, kind: type[MessageT], *, issue: str) -> MessageT:
        """Return the next message of this type about an issue that nobody has asked for yet."""
        heard = (await self._next((kind,), issue)).payload
        assert isinstance(heard, kind)
        return heard

    async def _next(self, kinds: tuple[type[Message], ...], issue: str) -> Envelope[Any]:
        conversation = conversation_of(issue)
        with anyio.fail_after(_PATIENCE):
            while True:
                self._news = anyio.Event()
                for envelope in self._heard:
                    if envelope.conversation_id == conversation and isinstance(envelope.payload, kinds):
                        self._heard.remove(envelope)
                        return envelope
                await self._news.wait()

    async def play(self, issue: str, *, people: People | None = None) -> ChangeConcluded:
        """Request the change and let people decide until it has ended."""
        await self.ask_for(issue)
        return await self.go_on(issue, people=people)

    async def go_on(self, issue: str, *, people: People | None = None) -> ChangeConcluded:
        """Let people decide until the change has ended. They have to have an answer to every question."""
        people = people or People(answers=None, ask=None)
        while True:
            match (await self._next((ChangeConcluded, InputRequired, ApprovalRequest), issue)).payload:
                case ChangeConcluded() as end:
                    return end
                case InputRequired() as question:
                    answer = await people.answer(question)
                    assert answer is not None, f"{issue} asks {question}"
                case request:
                    answer = await people.decide(request)
                    assert answer is not None, f"{issue} asks {request}"
            await self.say(answer, issue=issue)

    async def record(self, issue: str) -> Record:
        """Return what the change left behind in the stores, in Jira and in AWS."""
        conversation = conversation_of(issue)
        said = [envelope for envelope in self.said if envelope.conversation_id == conversation]
        return await gather(self.stage.settings, issue=issue, said=said)

    async def accept(self, issue: str, *, people: People | None = None) -> Record:
        """Play a change that has to end accepted."""
        end = await self.play(issue, people=people)
        assert end.outcome is ChangeOutcome.ACCEPTED, end.reason
        return await self.record(issue)
