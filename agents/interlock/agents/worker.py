"""Claims messages and works on several at a time, under leases that it renews; it knows no handler and no message."""

from __future__ import annotations

__all__ = ["Worker"]

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import anyio

from interlock.agents.patience import Patience
from interlock.agents.runtime_settings import RuntimeSettings
from interlock.bus.clock import Clock
from interlock.bus.errors import LeaseLostError
from interlock.bus.store.port import Store
from interlock.bus.store.records import Claim, InboxMessage, Receipt
from interlock.bus.telemetry import OFF, Telemetry
from interlock.protocol.errors import TransientError

_log = logging.getLogger(__name__)

_LONGEST_RELEASE = 2.0
"""Seconds for giving a message back on cancellation; otherwise its lease runs out by itself."""


@dataclass(slots=True, eq=False)
class _Job:
    claim: Claim
    is_followed: bool
    """Whether more of its conversation may wait for its end."""
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    has_lost_its_lease: bool = False


class Worker:
    """Works from `run` until `stop`: at most `concurrency` messages at a time, and one of each conversation.

    What comes in is leased in the commit that takes it in. The store is asked for more only when there may be more.
    """

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
        """By the message's number in the inbox."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: asyncio.Future[None] | None = None
        self._reserved = 0
        """Places for what is being leased."""
        self._may_be_more = True
        self._woken = anyio.Event()
        self._is_open = False
        """Whether what is leased can be begun."""
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
        """Say that there may be something to claim, now or at the end of what its conversation is busy with."""
        for job in self._jobs.values():
            job.is_followed = True
        self._look_again()

    def _look_again(self) -> None:
        self._may_be_more = True
        self._woken.set()

    def stop(self) -> None:
        """Claim nothing more; what is being worked on gets `drain` seconds."""
        self._stopping = True
        self.wake()

    async def take_in(self, messages: Sequence[InboxMessage]) -> tuple[Receipt, ...]:
        """Put messages into the inbox, and begin with those whose turn it is; returns when they are safely stored.

        Raises StoreUnavailableError when the store stays away.
        """
        places = self._reserve(len(messages))
        try:
            taken = await self._patience.insist(self._store.take_in, messages, limit=places, lease=self._settings.lease)
            self._begin(taken.claims)
        finally:
            self._give_up(places)
        begun = {claim.message.message_id for claim in taken.claims}
        for message, receipt in zip(messages, taken.receipts, strict=True):
            if receipt is Receipt.NEW and message.message_id not in begun:
                self._leave(message.conversation_id)
        return taken.receipts

    async def run(self) -> None:
        """Work until `stop` or cancellation. What cannot end in time is given back without costing an attempt.

        Raises what an attempt raises, in an exception group.
        """
        self._failure = asyncio.get_running_loop().create_future()
        async with anyio.create_task_group() as watch:
            watch.start_soon(self._watch, self._failure)
            try:
                self._is_open = True
                await self._claim_until_stopped()
                watch.start_soon(self._cut_off)
                await self._until_all_have_ended()
            finally:
                self._is_open = False
                self._cancel_jobs()
                with anyio.CancelScope(shield=True):
                    await self._until_all_have_ended()
            watch.cancel_scope.cancel()

    async def renew(self) -> None:
        """Keep the leases of what is being worked on, until cancelled; a job that has lost its lease is ended."""
        while True:
            await self._clock.sleep(self._settings.lease / 3)
            jobs = tuple(self._jobs.values())
            if not jobs:
                continue
            claims = tuple(job.claim for job in jobs)
            held = await self._patience.insist(self._store.renew, claims, lease=self._settings.lease)
            fences = {claim.fence for claim in held}
            for job in jobs:
                if job.claim.fence not in fences:
                    _abandon(job)

    async def _claim_until_stopped(self) -> None:
        while not self._stopping or self._reserved:
            self._woken = woken = anyio.Event()
            places = self._reserve(self._settings.concurrency) if self._may_be_more else 0
            if places:
                self._may_be_more = False
                try:
                    claims = await self._patience.insist(self._store.claim, limit=places, lease=self._settings.lease)
                    self._begin(claims)
                finally:
                    self._give_up(places)
                if len(claims) == places:
                    self._may_be_more = True
                    continue
            await woken.wait()

    def _reserve(self, wanted: int) -> int:
        """Keep places free for what is going to be leased; returns how many, none before `run` and after `stop`."""
        if self._stopping or not self._is_open:
            return 0
        places = max(0, min(wanted, self._settings.concurrency - len(self._jobs) - self._reserved))
        self._reserved += places
        return places

    def _give_up(self, places: int) -> None:
        """Give reserved places up: they are taken now, or free again."""
        self._reserved -= places
        if places and (self._may_be_more or self._stopping):
            self._woken.set()

    def _begin(self, claims: Iterable[Claim]) -> None:
        if not self._is_open:
            return  # cancelled meanwhile: their leases run out, or end with this process
        for claim in claims:
            if (stale := self._jobs.get(claim.seq)) is not None:
                _abandon(stale)
            self._jobs[claim.seq] = job = _Job(claim, claim.followed)
            # A task of asyncio's costs 8 microseconds and one of anyio's 42; it is cancelled by its scope alone, so
            # that a handler's shielded clean-up is respected.
            task = asyncio.create_task(self._work(job))
            self._tasks.add(task)
            task.add_done_callback(self._has_ended)

    def _leave(self, conversation_id: str) -> None:
        """Have a message that could not be begun yet claimed at the end of what is before it."""
        for job in self._jobs.values():
            if job.claim.message.conversation_id == conversation_id:
                job.is_followed = True
                return
        self._look_again()

    async def _work(self, job: _Job) -> None:
        try:
            with job.scope:
                await self._attempt(job.claim)
            if job.scope.cancelled_caught and not job.has_lost_its_lease:
                await self._release(job.claim)
        except LeaseLostError:
            job.has_lost_its_lease = True
        except asyncio.CancelledError:
            await self._release(job.claim)
            raise
        finally:
            if self._jobs.get(job.claim.seq) is job:
                del self._jobs[job.claim.seq]
            if job.is_followed:
                self._look_again()
            elif self._may_be_more or self._stopping:
                self._woken.set()
        if job.has_lost_its_lease:
            if self._telemetry.meters is not None:
                self._telemetry.meters.lease_lost()
            _log.warning("the lease on message %s was lost; its new holder goes on", job.claim.message.message_id)

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(error)

    async def _watch(self, failure: asyncio.Future[None]) -> None:
        """Raise what an attempt could not settle."""
        await failure

    async def _until_all_have_ended(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _release(self, claim: Claim) -> None:
        # It may be settled already, the caller's wait for that having been cancelled; or the store is away.
        with anyio.move_on_after(_LONGEST_RELEASE, shield=True), contextlib.suppress(TransientError):
            await self._store.release(claim)

    async def _cut_off(self) -> None:
        await self._clock.sleep(self._settings.drain)
        self._cancel_jobs()

    def _cancel_jobs(self) -> None:
        for job in self._jobs.values():
            job.scope.cancel()


def _abandon(job: _Job) -> None:
    job.has_lost_its_lease = True
    job.scope.cancel()
