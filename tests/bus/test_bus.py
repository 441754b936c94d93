"""The bus alone: typed publishing, requests, observing and subscribing, over both transports."""

from __future__ import annotations

import anyio
import pytest

from bus.harness import DEADLINE, Harness, eventually, outgoing, take
from bus.playground import PLAYGROUND, Ping, Pong
from interlock.bus.acceptance import accept
from interlock.bus.bus import Bus
from interlock.bus.clock import SystemClock, VirtualClock
from interlock.bus.connect import MEMORY, connect
from interlock.bus.errors import DeadlineExceededError, UnroutableError
from interlock.bus.memory import MemoryBroker
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError, PermanentError, RejectionCode, TransientError
from interlock.protocol.ids import new_id
from interlock.protocol.message import Message


async def bus_of(broker: Harness, identity: str) -> Bus:
    return Bus(await broker.connect(identity), clock=SystemClock(), catalogue=PLAYGROUND)


async def answer(ping: Envelope[Message]) -> Message:
    assert isinstance(ping.payload, Ping)
    return Pong(number=ping.payload.number + 1)


async def test_a_request_returns_its_answer(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha, beta = await bus_of(broker, "alpha-agent"), await bus_of(broker, "beta-agent")
    async with anyio.create_task_group() as group:
        group.start_soon(beta.subscribe, answer)
        with anyio.fail_after(DEADLINE):
            assert await alpha.request(Ping(number=1), to="beta-agent") == Pong(number=2)
        group.cancel_scope.cancel()


async def test_concurrent_requests_get_their_own_answers(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha, beta = await bus_of(broker, "alpha-agent"), await bus_of(broker, "beta-agent")
    answers: dict[int, Message] = {}

    async def ask(number: int) -> None:
        answers[number] = await alpha.request(Ping(number=number), to="beta-agent")

    async with anyio.create_task_group() as group:
        group.start_soon(beta.subscribe, answer)
        async with anyio.create_task_group() as asking:
            for number in range(10):
                asking.start_soon(ask, number)
        group.cancel_scope.cancel()
    assert answers == {number: Pong(number=number + 1) for number in range(10)}


async def test_a_request_to_nobody_is_unroutable(broker: Harness) -> None:
    await broker.declare("beta-agent")
    with pytest.raises(UnroutableError, match="nobody-agent"):
        await (await bus_of(broker, "alpha-agent")).request(Ping(number=1), to="nobody-agent")


async def test_a_published_message_carries_its_conversation_and_cause(broker: Harness) -> None:
    await broker.declare("beta-agent")
    conversation, cause = new_id(), new_id()
    message_id = await (await bus_of(broker, "alpha-agent")).publish(
        Ping(number=7), to="beta-agent", conversation_id=conversation, causation_id=cause
    )
    async with (await broker.connect("beta-agent")).consume() as deliveries:
        [delivery] = await take(deliveries)
    envelope = accept(delivery, catalogue=PLAYGROUND)
    assert (envelope.id, envelope.conversation_id, envelope.causation_id) == (message_id, conversation, cause)
    assert envelope.payload == Ping(number=7)


async def test_an_observer_gets_decoded_copies_and_passes_over_what_is_no_message(broker: Harness) -> None:
    await broker.declare("beta-agent")
    alpha = await bus_of(broker, "alpha-agent")
    async with (await bus_of(broker, "gamma-agent")).observe("*.ping") as envelopes:
        await alpha.transport.publish(outgoing(b"no message"))
        await alpha.publish(Ping(number=3), to="beta-agent")
        with anyio.fail_after(DEADLINE):
            assert (await anext(envelopes)).payload == Ping(number=3)


async def test_an_observer_chooses_by_class_and_by_several_patterns(broker: Harness) -> None:
    await broker.declare("beta-agent", "gamma-agent")
    alpha, beta = await bus_of(broker, "alpha-agent"), await bus_of(broker, "beta-agent")
    gamma = await bus_of(broker, "gamma-agent")
    async with gamma.observe(Pong) as pongs, gamma.observe("beta-agent.*", "#.ping", "#.pong") as everything:
        await alpha.publish(Ping(number=1), to="beta-agent")
        await beta.publish(Pong(number=2), to="gamma-agent")
        with anyio.fail_after(DEADLINE):
            assert (await anext(pongs)).payload == Pong(number=2)
            seen = [(await anext(everything)).payload for _ in range(2)]
    # What matches two patterns is still one copy.
    assert seen == [Ping(number=1), Pong(number=2)]


async def test_what_a_subscriber_cannot_read_is_parked(broker: Harness) -> None:
    await broker.declare("beta-agent")
    beta = await bus_of(broker, "beta-agent")
    await (await broker.connect("alpha-agent")).publish(outgoing(b"no message"))
    async with anyio.create_task_group() as group:
        group.start_soon(beta.subscribe, answer)
        await eventually(beta.transport.parked, lambda found: len(found) == 1)
        group.cancel_scope.cancel()
    [parked] = await beta.transport.parked()
    assert (parked.body, parked.reason) == (b"no message", "rejected")


@pytest.mark.parametrize(("error", "reason"), [(TransientError, "delivery_limit"), (PermanentError, "rejected")])
async def test_what_a_subscriber_cannot_handle_is_tried_again_or_parked(
    broker: Harness, error: type[Exception], reason: str
) -> None:
    await broker.declare(AgentQueue("beta-agent", delivery_limit=2))
    beta = await bus_of(broker, "beta-agent")
    await (await bus_of(broker, "alpha-agent")).publish(Ping(number=1), to="beta-agent")
    attempts = 0

    async def fail(_: Envelope[Message]) -> None:
        nonlocal attempts
        attempts += 1
        raise error("not now")

    async with anyio.create_task_group() as group:
        group.start_soon(beta.subscribe, fail)
        await eventually(beta.transport.parked, lambda found: len(found) == 1)
        group.cancel_scope.cancel()
    [parked] = await beta.transport.parked()
    assert parked.reason == reason
    assert attempts == (3 if error is TransientError else 1)


async def test_an_unanswered_request_ends_at_its_deadline_by_the_clock() -> None:
    broker, clock = MemoryBroker(), VirtualClock()
    broker.declare(Topology((AgentQueue("beta-agent"),)))
    alpha = Bus(broker.connect("alpha-agent"), clock=clock, catalogue=PLAYGROUND)
    failures: list[DeadlineExceededError] = []

    async def ask() -> None:
        with pytest.raises(DeadlineExceededError, match="beta-agent did not answer 'ping'") as exceeded:
            await alpha.request(Ping(number=1), to="beta-agent", deadline=60.0)
        failures.append(exceeded.value)

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await clock.advance(59.0)
        assert failures == []
        await clock.advance(1.0)
    assert len(failures) == 1


async def test_a_private_memory_broker_lets_an_agent_talk_to_itself() -> None:
    async with (
        connect(MEMORY, identity="alpha-agent", catalogue=PLAYGROUND) as bus,
        bus.transport.consume() as deliveries,
    ):
        await bus.publish(Ping(number=1), to="alpha-agent")
        assert accept((await take(deliveries))[0], catalogue=PLAYGROUND).payload == Ping(number=1)


def envelope_of(payload: Message, *, sender: str = "alpha-agent", receiver: str = "beta-agent") -> bytes:
    return encode(Envelope.wrap(payload, sender=sender, receiver=receiver, sent_at=outgoing().sent_at, id=new_id()))


@pytest.mark.parametrize(
    ("body", "changes", "code"),
    [
        (envelope_of(Ping(number=1), sender="gamma-agent"), {}, RejectionCode.WRONG_SENDER),
        (envelope_of(Ping(number=1), receiver="gamma-agent"), {}, RejectionCode.WRONG_RECEIVER),
        (envelope_of(Ping(number=1)), {"type": "pong"}, RejectionCode.WRONG_RECEIVER),
        (
            envelope_of(Ping(number=1), sender="gamma-agent"),
            {"sender": "gamma-agent"},
            RejectionCode.NOT_ALLOWED,
        ),
        (b"[]", {}, RejectionCode.NOT_AN_OBJECT),
    ],
    ids=["another sender", "another receiver", "another type", "no route", "no envelope"],
)
async def test_a_delivery_that_is_not_what_it_says_is_not_accepted(
    body: bytes, changes: dict[str, str], code: RejectionCode
) -> None:
    broker = MemoryBroker()
    broker.declare(Topology((AgentQueue("beta-agent"),)))
    message = outgoing(body, **changes)
    await broker.connect(message.sender).publish(message)
    async with broker.connect("beta-agent").consume() as deliveries:
        [delivery] = await take(deliveries)
    with pytest.raises(InvalidMessageError) as refused:
        accept(delivery, catalogue=PLAYGROUND)
    assert refused.value.code is code
