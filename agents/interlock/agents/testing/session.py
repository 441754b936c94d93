"""An agent in a test's words: given, receives, advance; it opens what the agent needs when it is first needed."""

from __future__ import annotations

__all__ = ["AgentSession"]

from collections.abc import Awaitable, Callable
from typing import Self

from interlock.agents.agent import Agent
from interlock.agents.testing.agent_tester import sole_sender
from interlock.agents.testing.subject import Subject
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import UsageError
from interlock.protocol.ids import new_id
from interlock.protocol.message import Message


class AgentSession:
    """What the `agent` fixture gives.

    ```python
    assert await agent(backend).receives(ready(max_connections=20)) == [TaskDeclined(code="pool_too_large", ...)]
    ```
    Handlers run as in production, on a store with inbox, outbox and effect journal; only time is virtual.
    """

    def __init__(self, agent: Agent, *, start: Callable[[], Awaitable[Subject]]) -> None:
        """`start` gets the agent to work; who made it ends it."""
        self.agent = agent
        self._start = start
        self._subject: Subject | None = None
        self._conversation = new_id()
        self._before: list[tuple[Message, str | None]] = []

    def __repr__(self) -> str:
        return f"AgentSession({self._subject or self.agent!r})"

    @property
    def subject(self) -> Subject:
        """The agent at work. Raises UsageError before it was told anything."""
        if self._subject is None:
            raise UsageError(f"{self.agent.name} has not begun to work: let it receive a message first")
        return self._subject

    @property
    def sent(self) -> list[Envelope[Message]]:
        """Everything that it has sent so far, oldest first."""
        return list(self._subject.sent) if self._subject else []

    def given(self, *messages: Message, sender: str | None = None) -> Self:
        """Say what it is told before: handed over with the next step, which does not return the answers to these."""
        self._before += [(message, sender) for message in messages]
        return self

    async def receives(
        self, message: Message, *, sender: str | None = None, conversation_id: str | None = None
    ) -> list[Message]:
        """Hand a message over, and return what the agent sends because of it.

        The sender is the only one that the message's route allows, unless said otherwise. All messages of a session are
        of one conversation, unless another is given. Raises UsageError when the sender has to be named.
        """
        subject = await self._at_work()
        return await self._hand(subject, message, sender, conversation_id)

    async def advance(self, seconds: float) -> list[Message]:
        """Move time on, with every timer and retry at its moment; returns what the agent has sent meanwhile."""
        return await (await self._at_work()).advance(seconds)

    async def _at_work(self) -> Subject:
        if self._subject is None:
            self._subject = await self._start()
        while self._before:
            message, sender = self._before.pop(0)
            await self._hand(self._subject, message, sender)
        return self._subject

    async def _hand(
        self, subject: Subject, message: Message, sender: str | None, conversation_id: str | None = None
    ) -> list[Message]:
        envelope = Envelope.wrap(
            message,
            sender=sender or sole_sender(message),
            receiver=self.agent.name,
            sent_at=subject.clock.now(),
            conversation_id=conversation_id or self._conversation,
        )
        return await subject.delivered(envelope)
