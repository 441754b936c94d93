"""Runs one agent: inbox, commit, ack, then work. It joins the parts, and knows no message's meaning."""

from __future__ import annotations

__all__ = ["Runtime", "RuntimeSettings"]

from collections.abc import AsyncIterator
from datetime import timedelta

import anyio

from interlock.agents.admitted import AdmittedEnvelopes
from interlock.agents.agent import Agent
from interlock.agents.attempt import Attempts
from interlock.agents.intake import Intake
from interlock.agents.patience import Patience
from interlock.agents.presence import Presence
from interlock.agents.repair import Repairs
from interlock.agents.runtime_settings import RuntimeSettings
from interlock.agents.worker import Worker
from interlock.bus.clock import Clock
from interlock.bus.relay import Relay
from interlock.bus.store.news import News
from interlock.bus.store.port import Store
from interlock.bus.telemetry import OFF, Telemetry
from interlock.bus.transport import Delivery, Transport
from interlock.protocol.messages.task import TaskCancelled

_LAST_WORDS = 5.0
"""Seconds of real time for sending what the last handlers wrote, once they have ended."""

_SHORTEST_LOOK, _LONGEST_LOOK = 0.02, 1.0
"""Seconds between looks at what is due; the longest is for rows that another replica or a command has changed."""

_PRUNING = 3600.0
"""Seconds between prunings."""


class Runtime:
    """One agent at work, from `run()` until it is cancelled or `stop()` is called."""

    def __init__(
        self,
        agent: Agent,
        *,
        transport: Transport,
        store: Store,
        clock: Clock,
        settings: RuntimeSettings | None = None,
        telemetry: Telemetry = OFF,
    ) -> None:
        self.agent = agent
        self._transport = transport
        self._store = store
        self._clock = clock
        self._settings = settings or RuntimeSettings()
        self._patience = Patience(clock, longest=self._settings.patience)
        self._relay = Relay(store, transport, clock=clock, identity=agent.name, telemetry=telemetry)
        admitted = AdmittedEnvelopes()
        self._intake = Intake(
            agent, store=store, clock=clock, patience=self._patience, telemetry=telemetry, admitted=admitted
        )
        self._rescheduled = anyio.Event()
        self._taking = False
        self._attempts = Attempts(
            agent,
            store=store,
            clock=clock,
            patience=self._patience,
            settings=self._settings,
            written=self._relay.wake,
            rescheduled=lambda: self._rescheduled.set(),
            admitted=admitted,
            telemetry=telemetry,
            repairs=Repairs(
                agent, store=store, transport=transport, intake=self._intake, woken=lambda: self._worker.wake()
            ),
        )
        self._worker = Worker(
            self._attempts.make,
            store=store,
            clock=clock,
            patience=self._patience,
            settings=self._settings,
            telemetry=telemetry,
        )

    def __repr__(self) -> str:
        return f"Runtime({self.agent.name!r}, working={self._worker.working})"

    @property
    def is_stopping(self) -> bool:
        """Whether an orderly end was asked for."""
        return self._worker.is_stopping

    @property
    def is_taking(self) -> bool:
        """Whether messages are being taken in."""
        return self._taking

    def stop(self) -> None:
        """Ask for an orderly end: nothing new is taken in or begun, running handlers get `drain` seconds."""
        self._intake.stop()
        self._worker.stop()

    def wake(self) -> None:
        """Say that somebody beside it has written to its store: messages to send, or to work on."""
        self._relay.wake()
        self._worker.wake()

    async def run(self, *, ready: anyio.Event | None = None) -> None:
        """Work until `stop()` or cancellation. `ready` is set once messages are being taken in.

        On `stop()` handlers may finish within the drain time; what is left is given back without costing an attempt.

        Raises BrokerUnavailableError or NotPermittedError when it cannot start. While it works, a broker that is away
        is waited for, a store for `patience` seconds; then StoreUnavailableError is raised, as BrokerUnavailableError
        is when the transport is closed under it, both in an exception group.
        """
        presence = Presence(self.agent, transport=self._transport, store=self._store, clock=self._clock)
        async with (
            self._transport.consume(prefetch=self._settings.prefetch) as deliveries,
            anyio.create_task_group() as background,
        ):
            background.start_soon(self._relay.run)
            background.start_soon(self._worker.renew)
            background.start_soon(self._watch_the_clock)
            background.start_soon(self._listen)
            background.start_soon(self._prune)
            background.start_soon(self._take_in, deliveries)
            await presence.announce()
            background.start_soon(presence.beat, self._settings.heartbeat, lambda: self._worker.working)
            self._taking = True
            if ready is not None:
                ready.set()
            await self._worker.run()
            self._taking = False
            with anyio.move_on_after(_LAST_WORDS, shield=True):
                await self._relay.drain(self._clock.now() + timedelta(seconds=_LAST_WORDS))
                await presence.leave("stopped in good order")
            background.cancel_scope.cancel()

    async def _take_in(self, deliveries: AsyncIterator[Delivery]) -> None:
        await self._intake.run(deliveries, take_in=self._worker.take_in, stored=self._has_stored, told=self._relay.wake)

    def _has_stored(self, type: str) -> None:  # noqa: A002 - the wire's word
        if type == TaskCancelled.declaration.type:
            self._rescheduled.set()  # its request may be under way; its own turn comes after that

    async def _watch_the_clock(self) -> None:
        """Fire timers, interrupt what is to end, and wake the worker when a retry or a lost lease falls due."""
        while True:
            self._rescheduled = anyio.Event()
            due = await self._patience.insist(self._store.next_due)
            now = self._clock.now()
            overdue = due is not None and due <= now
            fired = await self._patience.insist(self._store.fire_timers, now) if overdue else 0
            await self._attempts.look()
            self._worker.wake()
            # What is overdue and no timer waits for a free handler: whoever becomes free claims it without being told.
            waits = due is None or (overdue and not fired)
            wait = _LONGEST_LOOK if due is None or waits else (due - now).total_seconds()
            await self._sleep(min(_LONGEST_LOOK, max(_SHORTEST_LOOK, wait)))

    async def _listen(self) -> None:
        """Look at once when another replica has written something."""
        async for news in self._store.changes():
            if News.WORK in news:
                self._worker.wake()
                self._rescheduled.set()
            if news & (News.OUTGOING | News.VACANCY):
                self._relay.wake()

    async def _sleep(self, seconds: float) -> None:
        """Return after a while, or as soon as something was written that may be due earlier."""
        async with anyio.create_task_group() as race:

            async def ring() -> None:
                await self._clock.sleep(seconds)
                race.cancel_scope.cancel()

            race.start_soon(ring)
            await self._rescheduled.wait()
            race.cancel_scope.cancel()

    async def _prune(self) -> None:
        while True:
            await self._clock.sleep(_PRUNING)
            before = self._clock.now() - timedelta(seconds=self._settings.retention)
            await self._patience.insist(self._store.prune, before)
