"""Claims messages and works on several at a time, under leases that it renews; it knows no handler and no message."""

from __future__ import annotations

__all__ = ["Worker"]

import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from interlock.agents.patience import Patience
from interlock.agents.runtime_settings import RuntimeSettings
from interlock.bus.clock import Clock
from interlock.bus.errors import LeaseLostError
from interlock.bus.store.port import Store
from interlock.bus.store.records import Claim
from interlock.bus.telemetry import OFF, Telemetry
from interlock.protocol.errors import TransientError

_log = logging.getLogger(__name__)

_LONGEST_RELEASE = 2.0
"""Seconds for giving a message back on cancellation; otherwise its lease runs out by itself."""


@dataclass(frozen=True, slots=True)
class _Job:
    claim: Claim
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)


class Worker:
    """Works from `run` until `stop`: at most `concurrency` messages at a time, and one of each conversation."""

    def __init__(
        self,
        attempt: Callable[[Claim], Awaitable[None]],
        *,
        store: Store,
        clock: Clock,
        patience: Patience,
        settings: RuntimeSettings,
        telemetry: Telemetry = OFF,
    ) -> None:
        """`attempt` works on one message and records its end, or raises LeaseLostError."""
        self._attempt = attempt
        self._store = store
        self._clock = clock
        self._patience = patience
        self._settings = settings
        self._telemetry = telemetry
        self._jobs: dict[int, _Job] = {}
        self._woken = anyio.Event()
        self._stopping = False

    def __repr__(self) -> str:
        return f"Worker(working={self.working}, stopping={self._stopping})"

    @property
    def working(self) -> int:
        """How many messages are being worked on."""
        return len(self._jobs)

    @property
    def is_stopping(self) -> bool:
        """Whether an orderly end was asked for."""
        return self._stopping

    def wake(self) -> None:
        """Say that there may be something to claim."""
        self._woken.set()

    def stop(self) -> None:
        """Claim nothing more; what is being worked on gets `drain` seconds."""
        self._stopping = True
        self.wake()

    async def run(self) -> None:
        """Work until `stop` or cancellation. What cannot end in time is given back without costing an attempt."""
        async with anyio.create_task_group() as drain:
            async with anyio.create_task_group() as jobs:
                await self._claim_until_stopped(jobs)
                drain.start_soon(self._cut_off, jobs.cancel_scope)
            drain.cancel_scope.cancel()

    async def renew(self) -> None:
        """Keep the leases of what is being worked on, until cancelled; a job that has lost its lease is ended."""
        while True:
            await self._clock.sleep(self._settings.lease / 3)
            claims = tuple(job.claim for job in self._jobs.values())
            if not claims:
                continue
            held = await self._patience.insist(self._store.renew, claims, lease=self._settings.lease)
            self._abandon({claim.fence for claim in claims} - {claim.fence for claim in held})

    async def _claim_until_stopped(self, jobs: TaskGroup) -> None:
        while not self._stopping:
            self._woken = anyio.Event()
            free = self._settings.concurrency - len(self._jobs)
            claims = await self._claim(free) if free else ()
            for claim in claims:
                self._abandon({fence for fence, job in self._jobs.items() if job.claim.seq == claim.seq})
                self._jobs[claim.fence] = job = _Job(claim)
                jobs.start_soon(self._work, job)
            if len(claims) < free or not free:
                await self._woken.wait()

    async def _claim(self, limit: int) -> tuple[Claim, ...]:
        return await self._patience.insist(self._store.claim, limit=limit, lease=self._settings.lease)

    def _abandon(self, fences: set[int]) -> None:
        for fence in fences & self._jobs.keys():
            self._jobs[fence].scope.cancel()

    async def _work(self, job: _Job) -> None:
        try:
            with job.scope:
                await self._attempt(job.claim)
        except LeaseLostError:
            job.scope.cancel()
        except anyio.get_cancelled_exc_class():
            await self._release(job.claim)
            raise
        finally:
            del self._jobs[job.claim.fence]
            self.wake()
        if job.scope.cancel_called:
            if self._telemetry.meters is not None:
                self._telemetry.meters.lease_lost()
            _log.warning("the lease on message %s was lost; its new holder goes on", job.claim.message.message_id)

    async def _release(self, claim: Claim) -> None:
        # It may be settled already, the caller's wait for that having been cancelled; or the store is away.
        with anyio.move_on_after(_LONGEST_RELEASE, shield=True), contextlib.suppress(TransientError):
            await self._store.release(claim)

    async def _cut_off(self, jobs: anyio.CancelScope) -> None:
        await self._clock.sleep(self._settings.drain)
        jobs.cancel()
