"""Requests: whose answers count, how long is waited for them, and what the receiver learns when nobody waits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial

import anyio
import pytest

from bus.harness import DEADLINE, Harness, outgoing, take
from bus.playground import PLAYGROUND, Ping, Pong
from bus.tcp_proxy import TcpProxy
from interlock.bus.acceptance import accept
from interlock.bus.bus import Bus
from interlock.bus.clock import Clock, SystemClock, VirtualClock
from interlock.bus.errors import DeadlineExceededError, UnexpectedAnswerError, UnroutableError
from interlock.bus.memory import MemoryBroker
from interlock.bus.pending import UnderWay
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import RabbitTransport
from interlock.bus.transport import AgentQueue, Delivery, Topology, Transport
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import TransientError, UsageError
from interlock.protocol.ids import new_id
from interlock.protocol.message import Message
from interlock.protocol.messages.task import (
    DeadlineExceeded,
    TaskAccepted,
    TaskCancelled,
    TaskDeclined,
    TaskFailed,
    TaskProgress,
)


class Asked:
    """One request as its receiver got it, which can be answered rightly and wrongly."""

    def __init__(self, delivery: Delivery, transport: Transport) -> None:
        self.envelope = accept(delivery, catalogue=PLAYGROUND)
        self.reply_to = delivery.reply_to
        self._transport = transport

    async def answer(
        self,
        payload: Message,
        *,
        over: Transport | None = None,
        conversation_id: str | None = None,
        causation_id: str | None = None,
    ) -> None:
        over = over or self._transport
        envelope = Envelope.wrap(
            payload,
            sender=over.identity,
            receiver=self.envelope.sender,
            sent_at=self.envelope.sent_at,
            conversation_id=conversation_id or self.envelope.conversation_id,
            causation_id=causation_id or self.envelope.id,
        )
        await over.publish(outgoing(encode(envelope), sender=over.identity, receiver=self.reply_to, type=envelope.type))


class Peer:
    """Beta, which answers only as a test says."""

    def __init__(self, transport: Transport, deliveries: AsyncIterator[Delivery]) -> None:
        self.transport = transport
        self._deliveries = deliveries

    async def next(self) -> Asked:
        [delivery] = await take(self._deliveries)
        return Asked(delivery, self.transport)


@asynccontextmanager
async def peer_of(broker: Harness) -> AsyncGenerator[Peer]:
    await broker.declare("beta-agent")
    transport = await broker.connect("beta-agent")
    async with transport.consume() as deliveries:
        yield Peer(transport, deliveries)


@asynccontextmanager
async def in_memory(clock: Clock) -> AsyncGenerator[tuple[Bus, Peer, MemoryBroker]]:
    broker = MemoryBroker()
    broker.declare(Topology((AgentQueue("beta-agent"),)))
    transport = broker.connect("beta-agent")
    alpha = Bus(broker.connect("alpha-agent"), clock=clock, catalogue=PLAYGROUND)
    async with transport.consume() as deliveries:
        yield alpha, Peer(transport, deliveries), broker
    await alpha.aclose()
    assert alpha.statistics().pending == 0


async def bus_of(broker: Harness, identity: str) -> Bus:
    return Bus(await broker.connect(identity), clock=SystemClock(), catalogue=PLAYGROUND)


class Asking:
    """A request under way in a task of its own."""

    def __init__(self) -> None:
        self.scope = anyio.CancelScope()
        self.answer: Message | None = None
        self.error: Exception | None = None
        self.progress: list[UnderWay] = []
        self.ended = anyio.Event()

    async def run(
        self,
        bus: Bus,
        *,
        number: int = 1,
        timeout: float | None = None,
        deadline: float | None = None,
        cancel_on_timeout: bool = False,
    ) -> None:
        async def note(step: UnderWay) -> None:
            self.progress.append(step)

        with self.scope:
            try:
                self.answer = await bus.request(
                    Ping(number=number),
                    to="beta-agent",
                    on_progress=note,
                    timeout=timeout,
                    deadline=deadline,
                    cancel_on_timeout=cancel_on_timeout,
                )
            except Exception as error:
                self.error = error
        self.ended.set()

    async def done(self) -> None:
        with anyio.fail_after(DEADLINE):
            await self.ended.wait()


async def test_requests_in_flight_share_one_address_and_each_gets_its_own_answer(broker: Harness) -> None:
    alpha = await bus_of(broker, "alpha-agent")
    asking = [Asking() for _ in range(50)]
    async with peer_of(broker) as beta, anyio.create_task_group() as tasks:
        for number, one in enumerate(asking):
            tasks.start_soon(partial(one.run, alpha, number=number))
        asked = [await beta.next() for _ in asking]
        assert len({each.reply_to for each in asked}) == 1
        assert alpha.statistics().pending == len(asking)
        for each in reversed(asked):
            assert isinstance(each.envelope.payload, Ping)
            await each.answer(Pong(number=each.envelope.payload.number * 7))
    assert [one.answer for one in asking] == [Pong(number=number * 7) for number in range(50)]
    assert (alpha.statistics().pending, alpha.statistics().answered) == (0, 50)


async def test_an_answer_from_somebody_else_or_of_another_kind_never_reaches_the_waiter(broker: Harness) -> None:
    alpha, asking = await bus_of(broker, "alpha-agent"), Asking()
    gamma = await broker.connect("gamma-agent")
    async with peer_of(broker) as beta, anyio.create_task_group() as tasks:
        tasks.start_soon(asking.run, alpha)
        asked = await beta.next()
        await asked.answer(Pong(number=1), over=gamma)
        await asked.answer(Pong(number=2), conversation_id=new_id())
        await asked.answer(Pong(number=3), causation_id=new_id())
        await asked.answer(Ping(number=4))
        await asked.answer(Pong(number=5))
    assert asking.answer == Pong(number=5)
    counted = alpha.statistics()
    assert (counted.mismatched, counted.late, counted.answered) == (3, 1, 1)


async def test_a_cancelled_caller_is_reported_to_the_receiver(broker: Harness) -> None:
    alpha, asking = await bus_of(broker, "alpha-agent"), Asking()
    async with peer_of(broker) as beta, anyio.create_task_group() as tasks:
        tasks.start_soon(asking.run, alpha)
        asked = await beta.next()
        asking.scope.cancel()
        told = (await beta.next()).envelope
        assert isinstance(told.payload, TaskCancelled)
        assert (told.causation_id, told.conversation_id) == (asked.envelope.id, asked.envelope.conversation_id)
        assert told.sender == "alpha-agent"
        await asking.done()
    assert (alpha.statistics().abandoned, alpha.statistics().pending) == (1, 0)


async def test_progress_prolongs_the_silence_that_is_borne() -> None:
    clock, asking = VirtualClock(), Asking()
    steps = [TaskAccepted(), TaskProgress(step="half", percent=50), TaskProgress(step="most", percent=90)]
    async with in_memory(clock) as (alpha, beta, _), anyio.create_task_group() as tasks:
        tasks.start_soon(partial(asking.run, alpha, timeout=10.0, deadline=100.0))
        asked = await beta.next()
        for step in steps:
            await clock.advance(9.0)
            await asked.answer(step)
        await clock.advance(9.0)
        await asked.answer(Pong(number=9))
        await asking.done()
    assert asking.answer == Pong(number=9)
    assert asking.progress == steps


async def test_progress_does_not_carry_a_request_past_its_deadline() -> None:
    clock, asking = VirtualClock(), Asking()
    async with in_memory(clock) as (alpha, beta, _), anyio.create_task_group() as tasks:
        tasks.start_soon(partial(asking.run, alpha, timeout=10.0, deadline=25.0))
        asked = await beta.next()
        assert asked.envelope.deadline is not None
        assert (asked.envelope.deadline - asked.envelope.sent_at).total_seconds() == 25.0
        for _ in range(3):
            await clock.advance(8.0)
            await asked.answer(TaskProgress(step="more"))
        assert not asking.ended.is_set()
        await clock.advance(1.0)
        await asking.done()
    assert isinstance(asking.error, DeadlineExceededError)


async def test_silence_ends_a_request_whose_answer_is_then_late() -> None:
    clock, asking = VirtualClock(), Asking()
    async with in_memory(clock) as (alpha, beta, _), anyio.create_task_group() as tasks:
        tasks.start_soon(partial(asking.run, alpha, timeout=2.0))
        asked = await beta.next()
        await clock.advance(2.0)
        await asking.done()
        assert isinstance(asking.error, DeadlineExceededError)
        assert (asking.error.receiver, asking.error.message_id) == ("beta-agent", asked.envelope.id)
        await asked.answer(Pong(number=1))
        await clock.advance(0.0)
        counted = alpha.statistics()
        assert (counted.late, counted.exceeded, counted.pending) == (1, 1, 0)


async def test_a_timeout_cancels_the_work_only_where_the_caller_says_so() -> None:
    clock = VirtualClock()
    async with in_memory(clock) as (alpha, beta, _), anyio.create_task_group() as tasks:
        for cancels in (False, True):
            asking = Asking()
            tasks.start_soon(partial(asking.run, alpha, timeout=2.0, cancel_on_timeout=cancels))
            asked = await beta.next()
            await clock.advance(2.0)
            await asking.done()
        told = (await beta.next()).envelope
        assert (told.type, told.causation_id) == ("task_cancelled", asked.envelope.id)


async def test_the_receivers_own_word_that_time_is_over_is_the_same_error() -> None:
    clock, asking = VirtualClock(), Asking()
    async with in_memory(clock) as (alpha, beta, _), anyio.create_task_group() as tasks:
        tasks.start_soon(asking.run, alpha)
        asked = await beta.next()
        await asked.answer(DeadlineExceeded(request_id=asked.envelope.id, request_type="ping", deadline=clock.now()))
        await asking.done()
    assert isinstance(asking.error, DeadlineExceededError)


async def test_an_answer_that_was_not_asked_for_is_raised_with_what_came() -> None:
    async with in_memory(SystemClock()) as (alpha, beta, _), anyio.create_task_group() as tasks:

        async def fail(times: int) -> None:
            for _ in range(times):
                await (await beta.next()).answer(TaskFailed(code="broken", reason="no more pongs"))

        tasks.start_soon(fail, 2)
        with pytest.raises(UnexpectedAnswerError, match=r"answered 'ping'.*with 'task_failed'") as unexpected:
            await alpha.request(Ping(number=1), to="beta-agent", answers=(Pong, TaskDeclined))
        assert unexpected.value.answer == TaskFailed(code="broken", reason="no more pongs")
        answer = await alpha.request(Ping(number=1), to="beta-agent", answers=(Pong, TaskFailed))
        assert answer == TaskFailed(code="broken", reason="no more pongs")


async def test_asking_for_what_is_no_answer_is_refused_before_anything_is_sent() -> None:
    async with in_memory(SystemClock()) as (alpha, _, _):
        with pytest.raises(UsageError, match="Ping is no answer to ping: ask for some of its declared replies, Pong"):
            await alpha.request(Ping(number=1), to="beta-agent", answers=Ping)


async def test_more_requests_than_may_be_in_flight_wait_for_their_turn() -> None:
    broker = MemoryBroker()
    broker.declare(Topology((AgentQueue("beta-agent"),)))
    alpha = Bus(broker.connect("alpha-agent"), clock=SystemClock(), catalogue=PLAYGROUND, in_flight=2)
    transport = broker.connect("beta-agent")
    asking = [Asking() for _ in range(5)]
    async with transport.consume() as deliveries, anyio.create_task_group() as tasks:
        beta = Peer(transport, deliveries)
        for one in asking:
            tasks.start_soon(one.run, alpha)
        for _ in asking:
            asked = await beta.next()
            assert alpha.statistics().pending <= 2
            await asked.answer(Pong(number=1))
    assert [one.answer for one in asking] == [Pong(number=1)] * 5
    await alpha.aclose()


async def test_a_request_that_a_full_queue_refuses_is_sent_again_under_its_own_id() -> None:
    broker, clock, asking = MemoryBroker(), VirtualClock(), Asking()
    broker.declare(Topology((AgentQueue("beta-agent", max_length=1),)))
    alpha = Bus(broker.connect("alpha-agent"), clock=clock, catalogue=PLAYGROUND)
    transport = broker.connect("beta-agent")
    blocking = await alpha.publish(Ping(number=0), to="beta-agent")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(asking.run, alpha)
        await clock.advance(1.0)
        async with transport.consume() as deliveries:
            beta = Peer(transport, deliveries)
            assert (await beta.next()).envelope.id == blocking
            await clock.advance(1.0)
            await (await beta.next()).answer(Pong(number=1))
            await asking.done()
    assert asking.answer == Pong(number=1)
    await alpha.aclose()


async def test_closing_the_bus_ends_what_is_in_flight() -> None:
    asking = Asking()
    async with in_memory(SystemClock()) as (alpha, beta, _), anyio.create_task_group() as tasks:
        tasks.start_soon(asking.run, alpha)
        await beta.next()
        await alpha.aclose()
        await asking.done()
        assert isinstance(asking.error, TransientError)
        # It may be used again: the next request opens an address of its own.
        tasks.start_soon(partial(Asking().run, alpha, number=2))
        await (await beta.next()).answer(Pong(number=2))


async def test_a_callback_that_fails_ends_the_request_with_its_own_error() -> None:
    async with in_memory(SystemClock()) as (alpha, beta, _), anyio.create_task_group() as tasks:

        async def begin() -> None:
            await (await beta.next()).answer(TaskAccepted())

        async def fail(_: UnderWay) -> None:
            raise KeyError("mine")

        tasks.start_soon(begin)
        with pytest.raises(KeyError, match="mine"):
            await alpha.request(Ping(number=1), to="beta-agent", on_progress=fail)
        assert (await beta.next()).envelope.type == "task_cancelled"


@pytest.mark.rabbitmq
async def test_requests_go_on_waiting_across_a_lost_connection(rabbit: Harness, rabbitmq: PrivateBroker) -> None:
    asking = Asking()
    async with TcpProxy.to(rabbitmq.port) as proxy, peer_of(rabbit) as beta, anyio.create_task_group() as tasks:
        url = rabbitmq.url("alpha-agent").replace(str(rabbitmq.port), str(proxy.port))
        transport = await RabbitTransport.connect(url, identity="alpha-agent", watch=0.2)
        alpha = Bus(transport, clock=SystemClock(), catalogue=PLAYGROUND)
        tasks.start_soon(partial(asking.run, alpha, timeout=30.0, deadline=30.0))
        asked = await beta.next()
        proxy.reset()
        with anyio.fail_after(DEADLINE):
            while not asking.ended.is_set():
                # Until the address is there again nobody is bound to it: as an agent's outbox does, say it again.
                with suppress(UnroutableError):
                    await asked.answer(Pong(number=3))
                await anyio.sleep(0.1)
        assert asking.answer == Pong(number=3)
        assert proxy.accepted > 2
        await alpha.aclose()
        await transport.aclose()
