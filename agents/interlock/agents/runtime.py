"""Runs one agent: inbox, commit, ack, then work. It knows stores and transports, but no message's meaning."""

from __future__ import annotations

__all__ = ["Runtime", "RuntimeSettings"]

import logging
import random
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import anyio
from anyio.abc import TaskGroup

from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.intake import Intake
from interlock.agents.outbound import commit_of, enclose
from interlock.agents.presence import Presence
from interlock.agents.tracing import handling
from interlock.bus.clock import Clock
from interlock.bus.errors import LeaseLostError, StoreConflictError
from interlock.bus.relay import Relay
from interlock.bus.store.port import Store
from interlock.bus.store.records import Claim, Commit
from interlock.bus.transport import Transport
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import PermanentError, TransientError, UnknownOutcomeError, UsageError
from interlock.protocol.message import Message, Request
from interlock.protocol.messages.task import TaskDeclined, TaskFailed, TaskProgress

_log = logging.getLogger(__name__)

TIMER = "timer"
"""The inbox type under which a store delivers a workflow's timers."""


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """How an agent works through its inbox. Durations are in seconds."""

    concurrency: int = 16
    """Handlers at a time; never two of one conversation."""
    lease: float = 30.0
    """How long a claim holds without renewal; renewed every third of it."""
    max_attempts: int = 8
    """For transient errors; then the message is dead."""
    max_crashes: int = 3
    """For errors that no handler should raise; then the message is dead."""
    first_retry: float = 0.5
    """Doubled with every attempt, with jitter."""
    last_retry: float = 300.0
    heartbeat: float = 10.0
    drain: float = 20.0
    """How long running handlers may go on after a stop was asked for."""
    prefetch: int = 100


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
    ) -> None:
        self.agent = agent
        self._transport = transport
        self._store = store
        self._clock = clock
        self._settings = settings or RuntimeSettings()
        self._relay = Relay(store, transport, clock=clock, identity=agent.name)
        self._intake = Intake(agent, store=store, clock=clock)
        self._wake = anyio.Event()
        self._stopping = anyio.Event()
        self._working: dict[int, Claim] = {}
        self._idle = anyio.Event()

    def __repr__(self) -> str:
        return f"Runtime({self.agent.name!r}, working={len(self._working)})"

    @property
    def is_stopping(self) -> bool:
        """Whether an orderly end was asked for."""
        return self._stopping.is_set()

    def stop(self) -> None:
        """Ask for an orderly end: nothing new is begun, running handlers get `drain` seconds."""
        self._stopping.set()
        self._wake.set()

    async def run(self, *, ready: anyio.Event | None = None) -> None:
        """Work until `stop()` or cancellation. `ready` is set once messages are being taken in.

        On `stop()` handlers may finish within the drain time; what is left is given back without costing an attempt.
        Raises BrokerUnavailableError or NotPermittedError when it cannot start.
        """
        presence = Presence(self.agent, transport=self._transport, store=self._store, clock=self._clock)
        async with AsyncExitStack() as stack:
            deliveries = await stack.enter_async_context(self._transport.consume(prefetch=self._settings.prefetch))
            async with anyio.create_task_group() as background, anyio.create_task_group() as handlers:
                background.start_soon(self._relay.run)
                background.start_soon(self._renew)
                background.start_soon(self._watch_the_clock)
                background.start_soon(presence.beat, self._settings.heartbeat, self._load)
                intake = anyio.CancelScope()
                background.start_soon(self._take_in, intake, deliveries)
                await presence.announce()
                if ready is not None:
                    ready.set()
                await self._work(handlers)
                intake.cancel()
                await self._drain(handlers)
                with anyio.move_on_after(5, shield=True):
                    await self._relay.drain(self._clock.now() + timedelta(seconds=4))
                    await presence.leave("stopped in good order")
                background.cancel_scope.cancel()

    def _load(self) -> int:
        return len(self._working)

    async def _take_in(self, scope: anyio.CancelScope, deliveries: Intake.Deliveries) -> None:
        with scope:
            await self._intake.run(deliveries, self._notify)

    def _notify(self) -> None:
        self._wake.set()

    async def _work(self, handlers: TaskGroup) -> None:
        while not self._stopping.is_set():
            self._wake = anyio.Event()
            free = self._settings.concurrency - len(self._working)
            claims = await self._store.claim(limit=free, lease=self._settings.lease) if free else ()
            for claim in claims:
                self._working[claim.seq] = claim
                handlers.start_soon(self._handle, claim)
            if not claims or len(claims) < free:
                await self._wake.wait()

    async def _drain(self, handlers: TaskGroup) -> None:
        with anyio.move_on_after(self._settings.drain):
            while self._working:
                self._idle = anyio.Event()
                await self._idle.wait()
        handlers.cancel_scope.cancel()

    async def _handle(self, claim: Claim) -> None:
        try:
            await self._attempt(claim)
        except LeaseLostError:
            _log.warning("%s lost its lease on %s; its new holder goes on", self.agent.name, claim.message.message_id)
        except BaseException:
            with anyio.move_on_after(2, shield=True):
                await self._store.release(self._working.get(claim.seq, claim))
            raise
        finally:
            self._working.pop(claim.seq, None)
            self._wake.set()
            self._idle.set()
            self._relay.wake()

    async def _attempt(self, claim: Claim) -> None:
        envelope = self._envelope(claim)
        try:
            with handling(self.agent.name, envelope):
                commit = await self._answer(claim, envelope)
            await self._finish(claim, commit)
        except (LeaseLostError, anyio.get_cancelled_exc_class()):
            raise
        except UnknownOutcomeError as error:
            await self._give_up(claim, envelope, error, code="unknown_outcome")
        except TransientError as error:
            await self._try_again(claim, envelope, error, limit=self._settings.max_attempts)
        except (PermanentError, UsageError) as error:
            await self._give_up(claim, envelope, error, code=_code(error))
        except Exception as error:  # a handler's own defect must not end the agent: it is retried, then dead
            _log.exception("%s failed on %s %s", self.agent.name, envelope.type, envelope.id)
            await self._try_again(claim, envelope, error, limit=self._settings.max_crashes)

    async def _answer(self, claim: Claim, envelope: Envelope[Message]) -> Commit:
        handler = self.agent.handler(claim.message.type)
        now = self._clock.now()
        if handler is None:
            if not isinstance(envelope.payload, Request):
                return Commit()
            refusal = TaskDeclined(code="not_handled", reason=f"{self.agent.name} has no handler for {envelope.type}")
            return commit_of(refusal, agent=self.agent.name, cause=envelope, now=now, reply_to=claim.message.reply_to)
        returned = await handler(envelope.payload, self._context(claim, envelope))
        return commit_of(
            returned,
            agent=self.agent.name,
            cause=envelope,
            now=self._clock.now(),
            reply_to=claim.message.reply_to,
        )

    def _envelope(self, claim: Claim) -> Envelope[Message]:
        message = claim.message
        if message.type != TIMER:
            return decode(message.body, catalogue=self.agent.catalogue)
        return Envelope.wrap(
            TaskProgress(step=message.body.decode()),
            sender=self.agent.name,
            receiver=self.agent.name,
            sent_at=message.received_at,
            id=message.message_id,
            conversation_id=message.conversation_id,
        )

    def _context(self, claim: Claim, envelope: Envelope[Message]) -> Context:
        async def send_progress(progress: TaskProgress, receiver: str) -> None:
            message = enclose(
                progress,
                agent=self.agent.name,
                receiver=receiver,
                cause=envelope,
                ordinal=f"progress:{progress.step}:{progress.percent}",
                now=self._clock.now(),
                reply_to=claim.message.reply_to if receiver == envelope.sender else None,
            )
            try:
                await self._store.commit(Commit(outgoing=(message,)))
            except StoreConflictError:
                return  # an earlier attempt has sent this step already
            self._relay.wake()

        return Context(
            agent=self.agent.name,
            envelope=envelope,
            attempt=claim.attempt,
            fence=claim.fence,
            clock=self._clock,
            store=self._store,
            send_progress=send_progress,
        )

    async def _finish(self, claim: Claim, commit: Commit) -> None:
        await self._store.finish(self._working.get(claim.seq, claim), commit)
        self._relay.wake()

    async def _try_again(self, claim: Claim, envelope: Envelope[Message], error: Exception, *, limit: int) -> None:
        if claim.attempt >= limit:
            await self._give_up(claim, envelope, error, code="attempts_exhausted", retryable=True)
            return
        delay = min(self._settings.last_retry, self._settings.first_retry * 2 ** (claim.attempt - 1))
        delay *= random.uniform(0.8, 1.2)  # noqa: S311 - jitter against stampedes, not a secret
        _log.warning("%s tries %s %s again in %.1f s: %s", self.agent.name, envelope.type, envelope.id, delay, error)
        await self._store.retry(claim, not_before=self._clock.now() + timedelta(seconds=delay), error=str(error))

    async def _give_up(
        self, claim: Claim, envelope: Envelope[Message], error: Exception, *, code: str, retryable: bool = False
    ) -> None:
        _log.error("%s gives up %s %s: %s", self.agent.name, envelope.type, envelope.id, error)
        commit = Commit()
        if isinstance(envelope.payload, Request):
            failure = TaskFailed(
                code=code,
                reason=_line(error),
                retryable=retryable,
                outcome="unknown" if isinstance(error, UnknownOutcomeError) else "failed",
            )
            commit = commit_of(
                failure,
                agent=self.agent.name,
                cause=envelope,
                now=self._clock.now(),
                reply_to=claim.message.reply_to,
            )
        await self._store.bury(claim, error=str(error), commit=commit)
        self._relay.wake()

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(self._settings.lease / 3)
            if self._working:
                held = await self._store.renew(tuple(self._working.values()), lease=self._settings.lease)
                self._working.update({claim.seq: claim for claim in held if claim.seq in self._working})

    async def _watch_the_clock(self) -> None:
        """Wake the worker when a timer, a retry or a lease of a lost worker falls due."""
        while True:
            await self._clock.sleep(await self._until_due())
            if await self._store.fire_timers(self._clock.now()):
                self._wake.set()
            self._wake.set()

    async def _until_due(self) -> float:
        due = await self._store.next_due()
        longest = 1.0
        return longest if due is None else min(longest, max(0.05, (due - self._clock.now()).total_seconds()))


def _code(error: Exception) -> str:
    return getattr(error, "code", None) or "failed"


def _line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return "".join(character for character in text if character.isprintable())[:500]
