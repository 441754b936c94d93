"""What a replay needs of the agent that it tests, wherever that agent runs."""

from __future__ import annotations

__all__ = ["Subject"]

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from interlock.agents.agent import Agent
from interlock.bus.clock import Clock
from interlock.bus.store.port import Store
from interlock.bus.store.records import DeadRow
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message


class Subject(Protocol):
    """An agent at work, to be told messages and moments one at a time."""

    @property
    def agent(self) -> Agent:
        """The agent itself."""
        ...

    @property
    def clock(self) -> Clock:
        """The agent's time."""
        ...

    @property
    def store(self) -> Store:
        """The agent's store, to look at what it remembers."""
        ...

    @property
    def sent(self) -> Sequence[Envelope[Message]]:
        """Everything that it has sent so far, oldest first."""
        ...

    async def delivered(self, envelope: Envelope[Message]) -> list[Message]:
        """Hand a message over; returns what was sent, once the agent is done with it for now."""
        ...

    async def advance(self, seconds: float) -> list[Message]:
        """Move time on; returns what timers and retries have sent meanwhile."""
        ...

    async def moved_to(self, moment: datetime) -> list[Message]:
        """Let it be this moment, unless it is later already; returns what timers and retries have sent meanwhile."""
        ...

    async def dead(self) -> tuple[DeadRow, ...]:
        """Return the messages that it has given up."""
        ...
