"""One agent at work in a test: the real runtime, a memory broker, a SQLite file, and a peer to talk to it."""

from __future__ import annotations

__all__ = ["AGENT", "CATALOGUE", "PEER", "Answer", "Note", "Question", "Workplace", "eventually", "workplace"]

from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.lowlevel

from interlock.agents.agent import Agent
from interlock.agents.runtime import Runtime, RuntimeSettings
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.memory import MemoryBroker
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.telemetry import OFF, Telemetry
from interlock.bus.transport import AgentQueue, Outgoing, Topology, Transport
from interlock.protocol import catalogue as catalogues
from interlock.protocol.codec import decode, encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import ALL, ANY, Event, Message, Reply, Request, Route
from interlock.protocol.values import ShortText

AGENT = "library-agent"
PEER = "reader-agent"


class Answer(Reply, type="answer", route=Route.of(ANY, ANY)):
    """What the tests' agent answers."""

    text: ShortText


class Question(Request, type="question", route=Route.of(ANY, ANY), replies=(Answer,), deadline=600.0):
    """What the tests' agent is asked."""

    text: ShortText


class Note(Event, type="note", route=Route.of(PEER, (AGENT, ALL))):
    """Something that only the peer may say, and nobody answers."""

    text: ShortText


CATALOGUE = catalogues.CATALOGUE.with_messages(Answer, Question, Note)

T = TypeVar("T")


class Workplace:
    """What a test sees: it speaks as the peer, and reads what the peer is told."""

    def __init__(self, agent: Agent, *, clock: Clock, settings: RuntimeSettings, directory: Path) -> None:
        self.clock = clock
        self.broker = MemoryBroker()
        self.broker.declare(Topology((AgentQueue(PEER), AgentQueue(agent.name, announcements=agent.announcements))))
        self.peer = self.broker.connect(PEER)
        self.told: list[Envelope[Message]] = []
        """What came to the peer, announcements aside, oldest first."""
        self.announced: list[str] = []
        """Types of what was said to all."""
        self._agent = agent
        self._settings = settings
        self._directory = directory
        self._news = anyio.Event()

    @property
    def answers(self) -> list[Message]:
        """What the peer was told, without envelopes."""
        return [envelope.payload for envelope in self.told]

    def replace_agent(self, agent: Agent) -> None:
        """Have another release of the agent run from now on."""
        self._agent = agent

    async def open_store(self) -> SqliteStore:
        """Open the agent's file."""
        return await SqliteStore.open(self._directory / "agent.sqlite", agent=self._agent.name, clock=self.clock)

    @asynccontextmanager
    async def running(
        self, *, telemetry: Telemetry = OFF, transport: Transport | None = None
    ) -> AsyncGenerator[tuple[Runtime, SqliteStore]]:
        """Run the agent, over a transport of its own if none is given; at the end it is stopped in good order."""
        store = await self.open_store()
        try:
            runtime = Runtime(
                self._agent,
                transport=transport or self.broker.connect(self._agent.name),
                store=store,
                clock=self.clock,
                settings=self._settings,
                telemetry=telemetry,
            )
            async with anyio.create_task_group() as tasks:
                ready = anyio.Event()
                tasks.start_soon(partial(runtime.run, ready=ready))
                with anyio.fail_after(5):
                    await ready.wait()
                yield runtime, store
                runtime.stop()
        finally:
            await store.aclose()

    async def listen(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Collect what the peer is told, and what all are told."""
        async with self.broker.connect("observer").observe("#") as deliveries:
            task_status.started()
            async for delivery in deliveries:
                if delivery.sender == PEER:
                    continue
                envelope = decode(delivery.body, catalogue=CATALOGUE)
                if envelope.receiver == ALL:
                    self.announced.append(envelope.type)
                elif envelope.receiver == PEER:
                    self.told.append(envelope)
                self._news.set()
                self._news = anyio.Event()

    async def say(
        self,
        message: Message,
        *,
        to: str = AGENT,
        id: str | None = None,  # noqa: A002 - the wire's word
        conversation_id: str | None = None,
        causation_id: str | None = None,
        deadline: datetime | None = None,
        hops: int = 0,
        traced_as: str | None = None,
        **changes: str,
    ) -> str:
        """Publish as the peer, with the envelope or the transport's view of it changed; returns the message's id."""
        envelope = Envelope.wrap(
            message,
            sender=PEER,
            receiver=to,
            sent_at=self.clock.now(),
            id=id,
            conversation_id=conversation_id,
            causation_id=causation_id,
            deadline=deadline,
            hops=hops,
            traceparent=traced_as,
        )
        await self.publish(encode(envelope), **{"type": envelope.type, "id": envelope.id, **changes})
        return envelope.id

    async def publish(self, body: bytes, *, type: str = "question", id: str = "0", **changes: str) -> None:  # noqa: A002
        """Publish bytes as the peer."""
        outgoing = Outgoing(
            body=body,
            message_id=id,
            sender=PEER,
            receiver=AGENT,
            type=type,
            conversation_id="0",
            sent_at=self.clock.now(),
        )
        await self.peer.publish(outgoing._replace(**changes))  # type: ignore[arg-type]

    async def until(self, holds: Callable[[], T]) -> T:
        """Wait for something that a message to the peer or to all brings about."""
        with anyio.fail_after(5):
            while not (found := holds()):
                await self._news.wait()
        return found


async def eventually(holds: Callable[[], bool]) -> None:
    """Let everyone else run until this holds."""
    with anyio.fail_after(5):
        while not holds():
            await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def workplace(
    agent: Agent, directory: Path, *, clock: Clock | None = None, settings: RuntimeSettings | None = None
) -> AsyncGenerator[Workplace]:
    """Set a workplace up; the agent does not run yet."""
    place = Workplace(
        agent,
        clock=clock or SystemClock(),
        settings=settings or RuntimeSettings(first_retry=0.01, last_retry=0.02),
        directory=directory,
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(place.peer.aclose)
        async with anyio.create_task_group() as tasks:
            await tasks.start(place.listen)
            yield place
            tasks.cancel_scope.cancel()
