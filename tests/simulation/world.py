"""One run of the small world: two agents, a client, a seed; from the first message to the silence after the last.

It lets faults happen and keeps what was seen from outside; whether that is right is the oracle's matter.
"""

from __future__ import annotations

__all__ = ["Errands", "Outcome", "World", "play"]

import asyncio
import gc
import hashlib
import json
import logging
import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from interlock.agents.agent import Agent
from interlock.agents.runtime import Runtime, RuntimeSettings
from interlock.bus.transport import Delivery, Outgoing
from interlock.protocol.codec import decode, encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InterlockError, TransientError, UnknownOutcomeError
from interlock.protocol.ids import derived_id
from interlock.protocol.message import Message
from interlock.protocol.messages.task import TaskCancelled
from simulation.cast import ANSWERER, ASKER, CATALOGUE, CLIENT, SILENT, Concluded, Start, answerer, asker
from simulation.choices import Choices, Fault
from simulation.clock import SteppedClock
from simulation.event_loop import LIFE, Life, StuckError, VirtualLoop, deterministic
from simulation.network import Network
from simulation.storage import Disk, open_store

SETTINGS = RuntimeSettings(
    concurrency=4,
    lease=1.5,
    first_retry=0.1,
    last_retry=1.0,
    grace=1.0,
    heartbeat=1e6,
    prefetch=8,
    patience=60.0,
    retention=30.0,
)
AGENTS = (ASKER, ANSWERER)
TROUBLE = 6.0
"""Seconds for which faults may happen."""
SILENCE = 30.0
"""Seconds within which everything must have come to rest once they are over: a deadline, a grace, a few retries."""
HOUR = 3600.0

_disks: dict[str, Disk] = {}


@dataclass
class Errands:
    """What was seen of one conversation, from outside of the product."""

    start_id: str
    notes: int
    paid: int = 0
    """How often the world was changed."""
    concluded: dict[str, Concluded] = field(default_factory=dict[str, Concluded])
    """What the client was told, by message id."""
    concluded_at: float | None = None
    begun: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """For each attempt at the order: when it began, and how many seconds its deadline was past by its own clock."""
    ended: list[float] = field(default_factory=list[float])
    """When handlers of the order came to their end."""
    cancelled_at: float | None = None
    """When the answerer has acknowledged a cancellation of an order that it had begun."""
    forged: bool = False


@dataclass
class Outcome:
    """What a run came to."""

    seed: int
    violations: list[str]
    trace: str
    """SHA-256 over all that happened, in order."""
    fired: Counter[str]
    steps: int
    ended_at: float
    kinds: frozenset[Fault]
    lines: list[str] = field(default_factory=list[str])


class World:
    """Implements `Outside` for the answerer, and is the client."""

    def __init__(self, loop: VirtualLoop, choices: Choices) -> None:
        self.loop = loop
        self.choices = choices
        self.events: list[tuple[object, ...]] = []
        self.network = Network(loop, choices, agents=(*AGENTS, CLIENT), note=self.note, taken=self._taken)
        self.clocks = {agent: SteppedClock(loop) for agent in AGENTS}
        self.disks = {agent: _disk(agent) for agent in AGENTS}
        self.lives: list[Life] = []
        self.living: dict[str, Life] = {}
        self.roots: list[asyncio.Task[None]] = []
        self.errands: dict[str, Errands] = {}
        self.quiet_at = 0.0
        self.problems: list[str] = []
        for disk in self.disks.values():
            disk.begin_run(choices)

    def note(self, *event: object) -> None:
        """Put something on record."""
        self.events.append((round(self.loop.time(), 6), self.loop.steps, *event))

    # What the answerer meets.

    async def change(self, conversation: str) -> str:
        """Pay: an effect that has no memory."""
        choices = self.choices
        await asyncio.sleep(choices.latency())
        if self._strikes(Fault.HANDLER):
            raise TransientError("not payable at present")
        self.errands[conversation].paid += 1
        self.note("paid", conversation)
        await asyncio.sleep(choices.latency())
        if self._strikes(Fault.EFFECT_LOST):
            raise UnknownOutcomeError("the answer was lost")
        return "paid"

    async def work(self) -> None:
        """Work, for too long now and then."""
        seconds = self.choices.latency()
        if self._strikes(Fault.SLOW):
            seconds = self.choices.within(Fault.SLOW, 0.5, 6.0)
        elif self.choices.has(Fault.CANCEL) and self.choices.within(Fault.CANCEL, 0.0, 1.0) < 0.5:
            seconds = self.choices.within(Fault.CANCEL, 0.5, 3.0)  # what ends at once cannot be interrupted
        await asyncio.sleep(seconds)
        if self._strikes(Fault.HANDLER):
            raise TransientError("not possible at present")

    def begins(self, conversation: str, *, attempt: int, deadline: datetime | None, now: datetime) -> None:
        """Remember how late it was."""
        late = 0.0 if deadline is None or attempt > 1 else (now - deadline).total_seconds()
        self.errands[conversation].begun.append((self.loop.time(), late))
        self.note("begins", conversation, attempt)

    def ends(self, conversation: str) -> None:
        """Remember when."""
        self.errands[conversation].ended.append(self.loop.time())
        self.note("ends", conversation)

    def _strikes(self, kind: Fault) -> bool:
        return not self.network.quiet and self.choices.strikes(kind)

    # Processes.

    def start(self, name: str) -> None:
        """Start an agent's process."""
        crashes = self.choices.strikes(Fault.CRASH, 0.7) if not self.network.quiet else False
        dies_at = round(self.choices.within(Fault.CRASH, 1, 30) ** 2) if crashes else None
        self.living[name] = life = Life(name, dies_at=dies_at, dies=self._dies)
        self.lives.append(life)
        self.note("starts", name, dies_at)
        context = self.network.outside.copy()
        context.run(LIFE.set, life)
        self.roots.append(self.loop.create_task(self._live(name, life), context=context))

    async def _live(self, name: str, life: Life) -> None:
        clock = self.clocks[name]
        store = open_store(self.disks[name], agent=name, clock=clock, loop=self.loop, choices=self.choices)
        runtime = Runtime(
            _agent(name, self), transport=self.network.connect(name), store=store, clock=clock, settings=SETTINGS
        )
        try:
            await runtime.run()
        except* InterlockError as ended:
            self.note("ends", name, [type(error).__name__ for error in ended.exceptions])
        if self.loop.reaping:
            return
        if not self.choices.kinds & {Fault.STORE_AWAY, Fault.COMMIT_LOST}:
            self.problems.append(f"{name} ended by itself")
        # Its patience with the store was over, the hour of the leap included: whoever supervises it starts it again.
        self._dies(life)

    def _dies(self, life: Life) -> None:
        """As by kill -9: not a step more."""
        life.is_over = True
        self.note("dies", life.name, life.steps)
        self.network.hang_up(life.name)
        self.disks[life.name].rollback()
        pause = self.choices.within(Fault.CRASH, 0.01, 2.0) if self.choices.has(Fault.CRASH) else 1.0
        self.loop.call_later(pause, self._start_again, life.name, context=self.network.outside)

    def _start_again(self, name: str) -> None:
        if not self.loop.reaping:
            self.start(name)

    # The course of things.

    async def run(self) -> None:
        """Play the whole story."""
        for name in AGENTS:
            self.start(name)
        client = asyncio.ensure_future(self._listen())
        for number in range(1 + self.choices.among(2)):
            conversation = derived_id("simulation", str(self.choices.seed), str(number))
            self.errands[conversation] = Errands(derived_id(conversation, "start"), self.choices.among(3))
            self.network.later(self.choices.between(0.0, 1.0), self._begin, conversation)
        self._plan_faults()
        while self.loop.time() < TROUBLE and not self._is_at_rest():  # noqa: ASYNC110 - nothing tells, and it is free
            await asyncio.sleep(0.5)
        await self._calm_down()
        while not self._is_at_rest():
            if self.loop.time() > self.quiet_at + SILENCE:
                self.problems.append(f"I6: not at rest {SILENCE:g} s after the last fault: {self._unrest()}")
                break
            await asyncio.sleep(0.5)
        client.cancel()

    async def _calm_down(self) -> None:
        """End all faults; a clock that was wrong is right again, an hour or so later."""
        self.network.quiet = True
        for name in AGENTS:
            self.network.join(name)
            self.disks[name].calm_down()
            self.living[name].dies_at = None
        if self.choices.has(Fault.STEP):
            for clock in self.clocks.values():
                clock.skew = 0.0
            # What was set by a wrong clock is due within an hour: let it pass, as if all machines were suspended.
            self.loop.leap(HOUR + 10.0)
        self.quiet_at = self.loop.time()
        self.note("quiet")
        await asyncio.sleep(0)

    def _begin(self, conversation: str) -> None:
        errand = self.errands[conversation]
        body = self._said(
            CLIENT,
            ASKER,
            Start(text=SILENT if conversation.endswith("0") else "pay", notes=errand.notes),
            errand.start_id,
            conversation,
        )
        self.network.confirmed[errand.start_id] = body
        self.network.route(body)
        if self._strikes(Fault.DUPLICATE):
            self.network.later(self.choices.within(Fault.DUPLICATE, 0.0, 3.0), self.network.route, body)
        if self.choices.has(Fault.FORGE) and self.choices.strikes(Fault.FORGE, 0.5):
            errand.forged = True
            forged = self._said(CLIENT, ASKER, Start(text="forged", notes=9), errand.start_id, conversation)
            self.network.later(self.choices.within(Fault.FORGE, 0.0, 3.0), self.network.route, forged)
        if self.choices.has(Fault.CANCEL) and self.choices.strikes(Fault.CANCEL, 0.7):
            order = derived_id(ASKER, errand.start_id, "0")
            cancellation = self._said(
                ASKER, ANSWERER, TaskCancelled(reason="regretted"), derived_id(order, "no"), conversation, order
            )
            self.network.later(self.choices.within(Fault.CANCEL, 0.0, 3.0), self._cancel, cancellation)

    def _taken(self, delivery: Delivery) -> None:
        if delivery.routing_key == f"{ANSWERER}.task_cancelled":
            errand = self.errands[decode(delivery.body, catalogue=CATALOGUE).conversation_id]
            if errand.cancelled_at is None and errand.begun:
                errand.cancelled_at = self.loop.time()

    def _cancel(self, cancellation: Outgoing) -> None:
        self.network.confirmed[cancellation.message_id] = cancellation
        self.network.route(cancellation)

    def _said(
        self, sender: str, receiver: str, message: Message, id_: str, conversation: str, cause: str | None = None
    ) -> Outgoing:
        now = self.clocks[ASKER].now()
        envelope = Envelope.wrap(
            message,
            sender=sender,
            receiver=receiver,
            sent_at=now,
            id=id_,
            conversation_id=conversation,
            causation_id=cause,
        )
        return Outgoing(
            body=encode(envelope),
            message_id=id_,
            sender=sender,
            receiver=receiver,
            type=envelope.type,
            conversation_id=conversation,
            sent_at=now,
            causation_id=cause,
        )

    def _plan_faults(self) -> None:
        """Set the faults that strike a whole agent for a while."""
        choices, network = self.choices, self.network
        for kind, begin, end in (
            (Fault.PARTITION, network.part, network.join),
            (Fault.STORE_AWAY, self._take_store, self._give_store),
        ):
            for name in AGENTS:
                if choices.has(kind) and choices.strikes(kind, 0.6):
                    start = choices.within(kind, 0.0, 2.0)
                    network.later(start, begin, name)
                    network.later(start + choices.within(kind, 0.1, 3.0), end, name)
        for name in AGENTS:
            if choices.has(Fault.STEP) and choices.strikes(Fault.STEP, 0.6):
                hour = HOUR if choices.within(Fault.STEP, 0.0, 1.0) < 0.5 else -HOUR
                network.later(choices.within(Fault.STEP, 0.0, 3.0), self._step, name, hour)

    def _step(self, name: str, seconds: float) -> None:
        if not self.network.quiet:
            self.clocks[name].skew = seconds
            self.note("step", name, seconds)

    def _take_store(self, name: str) -> None:
        self.disks[name].is_away = not self.network.quiet
        self.note("store away", name)

    def _give_store(self, name: str) -> None:
        self.disks[name].is_away = False

    async def _listen(self) -> None:
        """Be the client: note what it is told."""
        mailbox = self.network.broker.queue(CLIENT).attach(prefetch=1_000).mailbox
        async for delivery in mailbox:
            envelope = decode(delivery.body, catalogue=CATALOGUE)
            assert isinstance(envelope.payload, Concluded)
            errand = self.errands[envelope.conversation_id]
            errand.concluded[envelope.id] = envelope.payload
            if errand.concluded_at is None:
                errand.concluded_at = self.loop.time()
            self.note("told", envelope.conversation_id, envelope.id, envelope.payload.verdict)
            await delivery.ack()

    def _is_at_rest(self) -> bool:
        return not self._unrest()

    def _unrest(self) -> str:
        """Return what is still to come, seen from outside of the product; empty when all is done."""
        if self.network.on_the_way:
            return "messages on the way"
        for conversation, errand in self.errands.items():
            if not errand.concluded:
                return f"no conclusion in {conversation}"
        for name in AGENTS:
            if self.living[name].is_over:
                return f"{name} is dead"
            disk = self.disks[name]
            if disk.in_transaction:
                return f"{name} writes"
            for what, query in _UNFINISHED.items():
                if disk.connection.execute(query).fetchone() is not None:
                    return f"{name} has {what}"
            if self.network.holds(name):
                return f"{name} has messages in its queue"
        return ""

    # The end.

    def reap(self) -> None:
        """Let everyone unwind, the living and the dead."""
        loop = self.loop
        loop.reaping = True
        loop.limit = loop.steps + 100_000
        for life in self.lives:
            loop.revive(life)
        for name in AGENTS:
            self.network.join(name)
        for root in self.roots:
            root.cancel()
        loop.run_until_complete(asyncio.gather(*self.roots, return_exceptions=True))
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))


_UNFINISHED = {
    "messages to work on": "SELECT 1 FROM inbox WHERE state IN ('ready', 'leased') LIMIT 1",
    "messages to send": "SELECT 1 FROM outbox WHERE state = 'unsent' LIMIT 1",
}


def _disk(agent: str) -> Disk:
    if agent not in _disks:
        _disks[agent] = Disk()
    return _disks[agent]


class _Switchboard:
    """The outside of the run that is under way: building an agent anew takes longer than most of its messages."""

    world: World

    async def change(self, conversation: str) -> str:
        return await self.world.change(conversation)

    async def work(self) -> None:
        await self.world.work()

    def begins(self, conversation: str, *, attempt: int, deadline: datetime | None, now: datetime) -> None:
        self.world.begins(conversation, attempt=attempt, deadline=deadline, now=now)

    def ends(self, conversation: str) -> None:
        self.world.ends(conversation)


_switchboard = _Switchboard()
_agents = {ASKER: asker(), ANSWERER: answerer(_switchboard)}


def _agent(name: str, world: World) -> Agent:
    _switchboard.world = world
    return _agents[name]


def play(seed: int, *, only: frozenset[Fault] | None = None, keep_lines: bool = False) -> Outcome:
    """Run the small world once; the same seed gives the same run, step by step."""
    from simulation.oracle import violations  # it judges what is defined here

    # What is collected when would depend on runs before; the caller collects now and then.
    gc.disable()
    logging.disable(logging.CRITICAL)
    state = random.getstate()
    random.seed(seed)  # the jitter of retries
    loop = VirtualLoop()
    choices = Choices(seed, only=only)
    try:
        with deterministic():
            world = World(loop, choices)
            main = loop.create_task(world.run())
            try:
                loop.run_until_complete(main)
            except StuckError as stuck:
                world.problems.append(f"stuck: {stuck}")
            world.problems.extend(loop.errors)
            found = [*world.problems, *violations(world)]
            trace = hashlib.sha256(json.dumps(world.events, default=str).encode()).hexdigest()
            outcome = Outcome(seed, found, trace, choices.fired, loop.steps, loop.time(), choices.kinds)
            if keep_lines or found:
                outcome.lines = [_line(event) for event in world.events]
            main.cancel()
            world.reap()
    finally:
        random.setstate(state)
        logging.disable(logging.NOTSET)
        gc.enable()
        loop.close()
    return outcome


def _line(event: tuple[Any, ...]) -> str:
    return f"{event[0]:12.6f} s  step {event[1]:6d}  " + " ".join(str(part) for part in event[2:])
