"""Calls an agent as its runtime would, on a real store and a virtual clock; there is no broker in it."""

from __future__ import annotations

__all__ = ["AgentTester"]

from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from interlock.agents.agent import Agent
from interlock.agents.attempt import Attempts
from interlock.agents.patience import Patience
from interlock.agents.runtime_settings import RuntimeSettings
from interlock.bus.clock import VirtualClock
from interlock.bus.store.port import Store
from interlock.bus.store.records import DeadRow, InboxMessage, Receipt
from interlock.bus.store.sqlite import SqliteStore
from interlock.protocol.codec import decode, encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import UsageError
from interlock.protocol.message import ANY, Message


class AgentTester:
    """One agent at a time without a team: what it is given, it handles at once; what it answers is returned.

    ```python
    async with AgentTester(backend) as tester:
        assert await tester.receives(ready(max_connections=20)) == [TaskDeclined(code="pool_too_large", ...)]
    ```
    Handlers run as in production: on a store with inbox, outbox and effect journal, with retries, attempts and
    workflows. Only time is virtual, and moves by `advance`.
    """

    def __init__(
        self, agent: Agent, *, clock: VirtualClock | None = None, settings: RuntimeSettings | None = None
    ) -> None:
        self.agent = agent
        self.clock = clock or VirtualClock()
        self.sent: list[Envelope[Message]] = []
        """Everything that it has sent so far, oldest first."""
        self._settings = settings or RuntimeSettings()
        self._stack = AsyncExitStack()
        self._store: Store | None = None

    def __repr__(self) -> str:
        return f"AgentTester({self.agent.name!r}, sent={len(self.sent)})"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            directory = stack.enter_context(TemporaryDirectory(prefix="interlock-"))
            store = await SqliteStore.open(Path(directory) / "agent.sqlite", agent=self.agent.name, clock=self.clock)
            stack.push_async_callback(store.aclose)
            self._store = store
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._store = None
        await self._stack.__aexit__(kind, error, trace)

    @property
    def store(self) -> Store:
        """The agent's store. Raises UsageError outside of `async with`."""
        if self._store is None:
            raise UsageError("an AgentTester has a store inside of 'async with' only")
        return self._store

    async def receives(self, message: Message, *, sender: str | None = None, **members: str) -> list[Message]:
        """Hand a message over, let the agent work until nothing is due, and return what it has sent meanwhile.

        The sender is the only one that the message's route allows, unless said otherwise. `members` are `id`,
        `conversation_id` and `causation_id` of the envelope. A message whose handler failed for now is tried again by
        `advance`; one that was given up is among the `dead`. Raises UsageError when the sender has to be named.
        """
        envelope = Envelope.wrap(
            message,
            sender=sender or sole_sender(message),
            receiver=self.agent.name,
            sent_at=self.clock.now(),
            **members,  # type: ignore[arg-type]
        )
        return await self.delivered(envelope)

    async def delivered(self, envelope: Envelope[Message]) -> list[Message]:
        """Hand a whole envelope over; see `receives`. Raises UsageError for an id that is known with another body."""
        receipt = await self.store.receive(
            InboxMessage(
                message_id=envelope.id,
                sender=envelope.sender,
                type=envelope.type,
                conversation_id=envelope.conversation_id,
                body=encode(envelope),
                received_at=self.clock.now(),
            )
        )
        if receipt is Receipt.CONFLICT:
            raise UsageError(f"message {envelope.id} was delivered before with another body: give each its own id")
        return await self._work()

    async def advance(self, seconds: float) -> list[Message]:
        """Move time on in the steps that timers and retries ask for; returns what the agent has sent meanwhile."""
        end = self.clock.monotonic() + seconds
        answers = await self._work()
        while (due := await self.store.next_due()) is not None:
            wait = max(0.0, (due - self.clock.now()).total_seconds())
            if self.clock.monotonic() + wait > end:
                break
            await self.clock.advance(wait)
            await self.store.fire_timers(self.clock.now())
            answers += await self._work()
        await self.clock.advance(end - self.clock.monotonic())
        return answers

    async def moved_to(self, moment: datetime) -> list[Message]:
        """Advance to this moment, unless it is later already; see `advance`."""
        return await self.advance(max(0.0, (moment - self.clock.now()).total_seconds()))

    async def dead(self) -> tuple[DeadRow, ...]:
        """Return the messages that were given up, with their errors."""
        return await self.store.dead()

    async def _work(self) -> list[Message]:
        attempts = Attempts(
            self.agent,
            store=self.store,
            clock=self.clock,
            patience=Patience(self.clock, longest=0.0),
            settings=self._settings,
            written=lambda _: None,
            rescheduled=_nothing,
        )
        while claims := await self.store.claim(limit=1, lease=self._settings.lease):
            for claim in claims:
                await attempts.make(claim)
        return await self._collect()

    async def _collect(self) -> list[Message]:
        fresh: list[Envelope[Message]] = []
        while unsent := await self.store.unsent(limit=100):
            fresh += [decode(message.body, catalogue=self.agent.catalogue, upcast=False) for message in unsent]
            await self.store.mark_sent([message.message_id for message in unsent])
        self.sent += fresh
        return [envelope.payload for envelope in fresh]


def sole_sender(message: Message) -> str:
    """Return the only agent that may send this. Raises UsageError when there are several."""
    senders = message.declaration.route.senders
    if len(senders) != 1 or ANY in senders:
        raise UsageError(f"{message.declaration.type} may come from {sorted(senders)}: say whom by sender=…")
    (sender,) = senders
    return sender


def _nothing() -> None:
    """Nobody waits: outbox and timers are read after the work."""
