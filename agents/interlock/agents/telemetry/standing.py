"""How one agent stands: whether it takes messages, and what its gauges show; it answers nobody by itself."""

from __future__ import annotations

__all__ = ["Standing"]

from dataclasses import dataclass
from typing import Protocol

import anyio

from interlock.bus.store.port import Store
from interlock.bus.telemetry import Telemetry
from interlock.bus.transport import Transport
from interlock.protocol.errors import InterlockError

_PATIENCE = 2.0
"""Seconds for the store's answer; a probe asks again soon."""


class Running(Protocol):
    """What is asked of a runtime."""

    @property
    def is_taking(self) -> bool:
        """Whether it takes messages in."""
        ...

    @property
    def is_stopping(self) -> bool:
        """Whether an orderly end was asked for."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """One agent, seen from outside."""

    agent: str
    runtime: Running
    transport: Transport
    store: Store
    telemetry: Telemetry

    async def reasons(self) -> tuple[str, ...]:
        """Return why it takes no messages; none when it does."""
        found: list[str] = []
        status = self.transport.status
        if self.runtime.is_stopping:
            found.append("it is stopping")
        elif not self.runtime.is_taking:
            found.append("it is starting")
        if not status.connected:
            found.append("the broker is not connected")
        elif not status.consuming:
            found.append("the broker has no consumer of it")
        if not await self.look():
            found.append(f"the store does not answer within {_PATIENCE:g} s")
        return tuple(found)

    async def look(self) -> bool:
        """Bring the gauges up to date; returns whether the store could be asked."""
        status, meters = self.transport.status, self.telemetry.meters
        counts = waiting = None
        with anyio.move_on_after(_PATIENCE):
            try:
                counts = await self.store.counts()
                waiting = await self.store.unsent(limit=1) if meters is not None else ()
            except InterlockError:
                counts = None  # it is away; the reason is logged by those who need it
        if meters is not None:
            from interlock.bus.meters import Gauges  # loaded already, since there are meters

            oldest = (self.telemetry.clock.now() - waiting[0].created_at).total_seconds() if waiting else 0.0
            meters.gauges = Gauges(
                ready=counts.ready if counts else 0,
                leased=counts.leased if counts else 0,
                dead=counts.dead if counts else 0,
                unsent=counts.unsent if counts else 0,
                oldest_unsent=max(0.0, oldest),
                reconnects=status.reconnects,
                connected=status.connected,
                consuming=status.consuming,
                workflows=counts.conversations if counts else {},
                known=counts is not None,
            )
        return counts is not None
