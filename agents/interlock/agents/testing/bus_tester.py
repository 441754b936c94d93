"""An agent at work behind a broker, told messages one at a time: the real runtime, under a clock that is told.

Its peers are played: each message is published as its sender, and what the agent sends counts once it has arrived in
its receiver's queue.
"""

from __future__ import annotations

__all__ = ["BusTester", "ToldClock"]

from collections.abc import Callable, Collection, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import anyio

from interlock.agents.agent import Agent
from interlock.agents.runtime import Runtime, RuntimeSettings
from interlock.agents.testing.broker import BrokerForTests
from interlock.bus.clock import SystemClock
from interlock.bus.store.port import Store
from interlock.bus.store.reading import StoreReader
from interlock.bus.store.records import DeadRow
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.transport import AgentQueue, Outgoing, Transport
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import TransientError, UsageError
from interlock.protocol.message import ALL, ANY, Message

_PATIENCE = 30.0
"""Seconds of real time for one message."""
_LOOK = 0.005


class ToldClock(SystemClock):
    """It is what it was told to be; waiting takes its real time, so that brokers can be waited for."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        """Return the moment that was told last."""
        return self._now

    def move_to(self, moment: datetime) -> None:
        """Let it be this moment, unless it is later already."""
        self._now = max(self._now, moment)


class BusTester:
    """Like `AgentTester`, over a broker: see there for what the methods mean."""

    def __init__(
        self,
        agent: Agent,
        *,
        broker: BrokerForTests,
        peers: Collection[str] = (),
        clock: ToldClock | None = None,
        settings: RuntimeSettings | None = None,
    ) -> None:
        """`peers` get queues, beside everyone that the catalogue names as a receiver of this agent's messages."""
        self.agent = agent
        self.clock = clock or ToldClock()
        self.sent: list[Envelope[Message]] = []
        """Everything that it has sent so far and that has arrived, oldest first."""
        self._broker = broker
        self._peers = ({*peers} | set(_receivers(agent))) - {agent.name, ALL}
        self._settings = settings or RuntimeSettings()
        self._stack = AsyncExitStack()
        self._transports: dict[str, Transport] = {}
        self._arrived: set[str] = set()
        self._store: Store | None = None
        self._reader: StoreReader | None = None

    def __repr__(self) -> str:
        return f"BusTester({self.agent.name!r}, broker={self._broker.kind}, sent={len(self.sent)})"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            path = Path(stack.enter_context(TemporaryDirectory(prefix="interlock-"))) / "agent.sqlite"
            self._store = store = await SqliteStore.open(path, agent=self.agent.name, clock=self.clock)
            stack.push_async_callback(store.aclose)
            self._reader = stack.enter_context(StoreReader.open(path))
            own = AgentQueue(self.agent.name, announcements=self.agent.announcements)
            await self._broker.declare(own, *sorted(self._peers))
            runtime = Runtime(
                self.agent,
                transport=await self._broker.transport(self.agent.name),
                store=store,
                clock=self.clock,
                settings=self._settings,
            )
            tasks = await stack.enter_async_context(anyio.create_task_group())
            stack.callback(tasks.cancel_scope.cancel)
            for peer in sorted(self._peers):
                self._transports[peer] = await self._broker.transport(peer)
                tasks.start_soon(self._receive, self._transports[peer])
            ready = anyio.Event()
            tasks.start_soon(partial(runtime.run, ready=ready))
            with anyio.fail_after(_PATIENCE):
                await ready.wait()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    @property
    def store(self) -> Store:
        """The agent's store. Raises UsageError outside of `async with`."""
        if self._store is None:
            raise UsageError("a BusTester has a store inside of 'async with' only")
        return self._store

    async def delivered(self, envelope: Envelope[Message]) -> list[Message]:
        """Publish a message as its sender; returns what the agent has sent, once it is done with it and all arrived.

        Raises UsageError for a sender that is no peer, TransientError when it takes longer than half a minute.
        """
        if envelope.sender not in self._transports:
            raise UsageError(f"{envelope.sender} is not among the peers {sorted(self._peers)}: name it in peers=…")
        await self._transports[envelope.sender].publish(Outgoing.of(envelope))
        assert self._reader is not None, "it is open"
        reader = self._reader
        await self._until(
            lambda: reader.inbox_state(envelope.id) in {"done", "dead"},
            f"{self.agent.name} is not done with {envelope.type} {envelope.id}",
        )
        return await self._collect()

    async def advance(self, seconds: float) -> list[Message]:
        """Move time on in the steps that timers and retries ask for; returns what the agent has sent meanwhile."""
        return await self.moved_to(self.clock.now() + timedelta(seconds=seconds))

    async def moved_to(self, moment: datetime) -> list[Message]:
        """Advance to this moment, unless it is later already; see `advance`."""
        answers: list[Message] = []
        while (due := await self.store.next_due()) is not None and due <= moment:
            self.clock.move_to(due)
            with anyio.move_on_after(_PATIENCE) as waiting:
                while not await self._is_idle():
                    await self.clock.sleep(_LOOK)
            if waiting.cancelled_caught:
                raise TransientError(f"{self.agent.name} did not become idle within {_PATIENCE:.0f} s at {due}")
            answers += await self._collect()
        self.clock.move_to(moment)
        return answers

    async def dead(self) -> tuple[DeadRow, ...]:
        """Return the messages that were given up, with their errors."""
        return await self.store.dead()

    async def _is_idle(self) -> bool:
        """Look along the way that work takes, timer, inbox, lease, outbox: so nothing can slip past the look."""
        assert self._reader is not None, "it is open"
        due = await self.store.next_due()
        if (due is not None and due <= self.clock.now()) or self._reader.claimable(self.clock.now()):
            return False
        counts = await self.store.counts()
        return not counts.leased and not counts.unsent

    async def _collect(self) -> list[Message]:
        assert self._reader is not None, "it is open"
        everything = (decode(body, catalogue=self.agent.catalogue, upcast=False) for body in self._reader.messages())
        fresh = [envelope for envelope in everything if envelope.sender == self.agent.name][len(self.sent) :]
        for envelope in fresh:
            if envelope.receiver == ALL:
                continue  # whoever wants it has a queue for it, or nobody has
            await self._until(
                lambda envelope=envelope: envelope.id in self._arrived,  # type: ignore[misc]
                f"{envelope.type} {envelope.id} has not arrived at {envelope.receiver}",
            )
        self.sent += fresh
        return [envelope.payload for envelope in fresh]

    async def _until(self, holds: Callable[[], bool], otherwise: str) -> None:
        with anyio.move_on_after(_PATIENCE) as waiting:
            while not holds():
                await self.clock.sleep(_LOOK)
        if waiting.cancelled_caught:
            raise TransientError(f"{otherwise} after {_PATIENCE:.0f} s")

    async def _receive(self, transport: Transport) -> None:
        async with transport.consume() as deliveries:
            async for delivery in deliveries:
                await delivery.ack()
                self._arrived.add(decode(delivery.body, catalogue=self.agent.catalogue).id)


def _receivers(agent: Agent) -> Iterable[str]:
    for route in agent.catalogue.routes().values():
        if {agent.name, ANY} & route.senders:
            yield from route.receivers - {ANY, ALL}
