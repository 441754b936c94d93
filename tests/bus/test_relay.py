"""What is committed is published, in order and at least once, however the broker behaves."""

from __future__ import annotations

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from interlock.bus.clock import VirtualClock
from interlock.bus.errors import (
    BrokerUnavailableError,
    LoginRefusedError,
    NotPermittedError,
    UnconfirmedError,
    UnroutableError,
)
from interlock.bus.memory import MemoryBroker, MemoryTransport
from interlock.bus.relay import Backoff, Relay
from interlock.bus.store.records import Commit, OutboxMessage
from interlock.bus.store.sqlite import SqliteStore
from interlock.bus.store.writer import StoreUnavailableError
from interlock.bus.transport import AgentQueue, Outgoing, Topology
from interlock.protocol.errors import InterlockError, UsageError
from store_rows import claim_one, incoming, outgoing


class Network(MemoryTransport):
    """The memory transport behind a line that can fail, or be held up, for chosen messages."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker, "devops-agent")
        self.published: list[Outgoing] = []
        self.attempts: list[str] = []
        self.failures: defaultdict[str, deque[InterlockError]] = defaultdict(deque)
        self.outage: InterlockError | None = None
        self.gate: asyncio.Event | None = None
        self.in_flight = 0
        self.most_in_flight = 0
        self.look: Callable[[], str] | None = None
        self.observed: list[str] = []

    async def publish(self, message: Outgoing, *, timeout: float = 10.0) -> None:
        self.attempts.append(message.message_id)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        if self.look is not None:
            self.observed.append(self.look())
        try:
            if self.gate is not None:
                await self.gate.wait()
            if self.outage is not None:
                raise self.outage
            if self.failures[message.message_id]:
                raise self.failures[message.message_id].popleft()
            await super().publish(message, timeout=timeout)
            self.published.append(message)
        finally:
            self.in_flight -= 1

    @property
    def published_ids(self) -> list[str]:
        return [message.message_id for message in self.published]


class CountingClock(VirtualClock):
    """A virtual clock that counts how often it is asked."""

    asked = 0

    def monotonic(self) -> float:
        self.asked += 1
        return super().monotonic()


@pytest.fixture
def clock() -> CountingClock:
    return CountingClock()


@pytest.fixture
async def store(tmp_path: Path, clock: VirtualClock) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(tmp_path / "agent.db", agent="devops-agent", clock=clock)
    yield opened
    await opened.aclose()


@pytest.fixture
async def network() -> AsyncIterator[Network]:
    broker = MemoryBroker()
    transport = Network(broker)
    await transport.declare(Topology((AgentQueue("backend-agent"), AgentQueue("qa-agent"))))
    yield transport
    await transport.aclose()


@pytest.fixture
def relay(store: SqliteStore, network: Network, clock: VirtualClock) -> Relay:
    backoff = Backoff(first=1.0, longest=4.0, chance=lambda: 0.0)
    return Relay(store, network, clock=clock, identity="devops-agent", window=8, backoff=backoff)


@asynccontextmanager
async def running(relay: Relay) -> AsyncGenerator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(relay.run)
        yield
        group.cancel_scope.cancel()


async def until(condition: Callable[[], bool]) -> None:
    """Let other tasks and the store's thread run until something holds."""
    with anyio.fail_after(5.0):
        while not condition():
            await anyio.lowlevel.checkpoint()


async def until_unsent(store: SqliteStore, count: int) -> None:
    with anyio.fail_after(5.0):
        while (await store.counts()).unsent != count:
            pass


async def write(store: SqliteStore, relay: Relay, *messages: OutboxMessage) -> None:
    await store.commit(Commit(outgoing=messages))
    relay.wake()


def unroutable(message_id: str) -> UnroutableError:
    return UnroutableError("backend-agent", "infrastructure_ready", message_id, "proj-140")


async def test_what_is_in_the_outbox_is_published_and_marked(
    store: SqliteStore, relay: Relay, network: Network, clock: VirtualClock
) -> None:
    await store.commit(Commit(outgoing=(outgoing("before", body=b"b"),)))
    async with running(relay):
        await until(lambda: network.published_ids == ["before"])
        await write(store, relay, outgoing("after"))
        assert await relay.drain(clock.now() + timedelta(seconds=5)) == 0
    sent = network.published[0]
    assert (sent.body, sent.sender, sent.receiver, sent.sent_at) == (b"b", "devops-agent", "backend-agent", clock.now())
    assert network.published_ids == ["before", "after"]
    assert repr(relay) == "Relay(identity='devops-agent', held=0, outages=0)"


async def handed(store: SqliteStore, relay: Relay, *messages: OutboxMessage) -> None:
    """Write, and hand over what was written, as a runtime does."""
    await store.commit(Commit(outgoing=messages))
    relay.wake(messages)


async def idle(store: SqliteStore, relay: Relay) -> None:
    """Let a relay that has just started ask for what there is."""
    before = store.statistics().operations
    await until(lambda: store.statistics().operations >= before + 2)
    await until(lambda: "held=0" in repr(relay))


async def test_what_was_just_written_is_published_without_being_read_back(
    store: SqliteStore, relay: Relay, network: Network
) -> None:
    messages = [outgoing(f"o{number}", conversation=f"c{number}") for number in range(6)]
    async with running(relay):
        await idle(store, relay)
        before = store.statistics().operations
        await handed(store, relay, *messages)
        await until(lambda: "held=0" in repr(relay) and len(network.published) == 6)
        assert store.statistics().operations == before + 2, "one has written, one has marked, and none has read"
    assert sorted(network.attempts) == [message.message_id for message in messages]
    assert (await store.counts()).unsent == 0


async def test_what_was_just_written_does_not_overtake_what_waits(
    store: SqliteStore, relay: Relay, network: Network, clock: VirtualClock
) -> None:
    network.failures["o1"].append(unroutable("o1"))
    async with running(relay):
        await idle(store, relay)
        await handed(store, relay, outgoing("o1"))
        await until(lambda: network.attempts == ["o1"])
        await handed(store, relay, outgoing("o2"))
        await handed(store, relay, outgoing("elsewhere", conversation="proj-141"))
        await until(lambda: "elsewhere" in network.published_ids)
        await until(lambda: "sleepers=1" in repr(clock))
        await clock.advance(1.0)
        await until_unsent(store, 0)
    assert network.published_ids == ["elsewhere", "o1", "o2"]


async def test_what_was_written_in_silence_goes_before_what_is_handed_over_after_it(
    store: SqliteStore, relay: Relay, network: Network
) -> None:
    async with running(relay):
        await idle(store, relay)
        await store.commit(Commit(outgoing=(outgoing("o1"),)))
        relay.wake()
        await handed(store, relay, outgoing("o2"))
        await until_unsent(store, 0)
    assert network.attempts == ["o1", "o2"]


async def test_what_finds_no_room_is_read_when_there_is(
    store: SqliteStore, relay: Relay, network: Network, clock: VirtualClock
) -> None:
    network.gate = asyncio.Event()
    async with running(relay):
        await idle(store, relay)
        for number in range(20):
            await handed(store, relay, outgoing(f"{number:02}", conversation=f"c{number}"))
        await until(lambda: network.in_flight == 8)
        network.gate.set()
        assert await relay.drain(clock.now() + timedelta(seconds=5)) == 0
    assert network.most_in_flight == 8
    assert sorted(network.attempts) == [f"{number:02}" for number in range(20)]


async def test_what_is_handed_over_where_publishing_has_ended_is_published_by_the_next_run(
    store: SqliteStore, relay: Relay, network: Network
) -> None:
    network.failures["o1"].append(LoginRefusedError("127.0.0.1:5672 refused the credentials of devops-agent"))

    async def hand_over_without_an_end() -> None:
        async with running(relay):
            await idle(store, relay)
            await handed(store, relay, outgoing("o1"))
            for number in itertools.count():  # up to the last moment of the run
                relay.wake((outgoing(f"{number}", conversation=f"c{number}"),))
                await anyio.lowlevel.checkpoint()

    with pytest.raises(ExceptionGroup) as refused:
        await hand_over_without_an_end()
    assert refused.group_contains(LoginRefusedError)
    assert not refused.group_contains(RuntimeError)
    await handed(store, relay, outgoing("o3"))
    async with running(relay):
        await until_unsent(store, 0)
    assert network.published_ids[-2:] == ["o1", "o3"]


async def test_what_is_published_is_about_nothing_that_its_writer_is_about(
    store: SqliteStore, relay: Relay, network: Network
) -> None:
    working_on = ContextVar("working_on", default="nothing")
    network.look = lambda: working_on.get()
    async with running(relay):
        await idle(store, relay)
        working_on.set("a handler's message")
        await handed(store, relay, outgoing("o1"))
        await until(lambda: network.published_ids == ["o1"])
    assert network.observed == ["nothing"]


async def test_a_full_window_is_waited_for_without_turning_round_what_is_due(
    store: SqliteStore, network: Network, clock: CountingClock
) -> None:
    relay = Relay(
        store, network, clock=clock, identity="devops-agent", window=2, backoff=Backoff(first=1.0, chance=lambda: 0.0)
    )
    network.failures["o1"].append(unroutable("o1"))
    async with running(relay):
        await write(store, relay, outgoing("o1"))
        await until(lambda: "sleepers=1" in repr(clock))
        network.gate = asyncio.Event()
        await write(store, relay, outgoing("a", conversation="proj-141"), outgoing("b", conversation="proj-142"))
        await until(lambda: network.in_flight == 2)
        await clock.advance(1.0)
        before = clock.asked
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        assert clock.asked - before < 10
        network.gate.set()
        await until_unsent(store, 0)
    assert network.attempts == ["o1", "a", "b", "o1"]


async def test_the_window_bounds_what_is_in_flight_and_conversations_keep_their_order(
    store: SqliteStore, relay: Relay, network: Network, clock: VirtualClock
) -> None:
    network.gate = asyncio.Event()
    messages = [outgoing(f"{number:02}", conversation=f"c{number % 13}") for number in range(60)]
    await store.commit(Commit(outgoing=tuple(messages)))
    async with running(relay):
        await until(lambda: network.in_flight == 8)
        network.gate.set()
        assert await relay.drain(clock.now() + timedelta(seconds=5)) == 0
    assert network.most_in_flight == 8
    assert sorted(network.published_ids) == [message.message_id for message in messages]
    for conversation in range(13):
        own = [sent.message_id for sent in network.published if sent.conversation_id == f"c{conversation}"]
        assert own == sorted(own)


async def test_messages_that_become_due_while_the_window_is_full_wait_for_room(
    store: SqliteStore, relay: Relay, network: Network, clock: VirtualClock
) -> None:
    early = [outgoing(f"early-{number}", conversation=f"e{number}") for number in range(8)]
    late = [outgoing(f"late-{number}", conversation=f"l{number}") for number in range(8)]
    for message in early:
        network.failures[message.message_id].append(unroutable(message.message_id))
    async with running(relay):
        await write(store, relay, *early)
        await until(lambda: len(network.attempts) == 8 and "held=0" in repr(relay))
        network.gate = asyncio.Event()
        await write(store, relay, *late)
        await until(lambda: network.in_flight == 8)
        await clock.advance(1.0)
        relay.wake()
        for _ in range(5):  # time enough for the relay to ask the store, and to do too much
            await store.counts()
        network.gate.set()
        assert await relay.drain(clock.now() + timedelta(seconds=5)) == 0
    assert network.most_in_flight == 8
    assert len(network.published) == 16


async def test_a_slow_conversation_does_not_hold_up_the_others(
    store: SqliteStore, relay: Relay, network: Network
) -> None:
    await store.commit(Commit(outgoing=(outgoing("slow"),)))
    network.gate = gate = asyncio.Event()
    async with running(relay):
        await until(lambda: network.in_flight == 1)
        network.gate = None
        await write(store, relay, outgoing("behind"), *(outgoing(f"o{n}", conversation=f"c{n}") for n in range(20)))
        await until(lambda: len(network.published) == 20)
        assert "behind" not in network.attempts
        gate.set()
        await until(lambda: network.published_ids[-2:] == ["slow", "behind"])


async def test_an_unroutable_message_is_tried_again_ever_later_and_its_followers_wait(
    store: SqliteStore, relay: Relay, network: Network, clock: VirtualClock
) -> None:
    network.failures["first"].extend(unroutable("first") for _ in range(4))
    await store.commit(Commit(outgoing=(outgoing("first"), outgoing("other", to="qa-agent"), outgoing("second"))))
    async with running(relay):
        await until_unsent(store, 2)
        for seconds in (1.0, 2.0, 4.0, 4.0):
            await next_wait(store, clock, seconds)
            await clock.advance(seconds)
        await until_unsent(store, 0)
    assert network.published_ids == ["other", "first", "second"]
    assert network.attempts.count("first") == 5


async def next_wait(store: SqliteStore, clock: VirtualClock, seconds: float) -> None:
    """Return once the store has a message that waits for this long, and the relay sleeps until then."""
    with anyio.fail_after(5.0):
        while await store.next_due() != clock.now() + timedelta(seconds=seconds):
            pass
        for _ in range(3):  # the relay asks the store twice before it sleeps
            await store.counts()


async def test_a_postponed_message_goes_out_in_time_although_something_else_is_overdue(
    store: SqliteStore, relay: Relay, network: Network, clock: VirtualClock
) -> None:
    await store.receive(incoming("m1"))
    await store.retry(await claim_one(store), not_before=clock.now(), error="no handler is free")
    await clock.advance(1.0)
    network.failures["o1"].append(UnconfirmedError("o1", "a test"))
    await store.commit(Commit(outgoing=(outgoing("o1"),)))
    async with running(relay):
        with anyio.fail_after(5.0):
            while not network.published:
                await clock.advance(0.5)
                await store.counts()  # the store's thread runs meanwhile
    assert network.attempts == ["o1", "o1"]


async def test_an_unconfirmed_message_is_published_again_under_the_same_id(
    store: SqliteStore, relay: Relay, network: Network, clock: VirtualClock
) -> None:
    network.failures["o1"].append(UnconfirmedError("o1", "timed out"))
    await store.commit(Commit(outgoing=(outgoing("o1"),)))
    async with running(relay):
        await next_wait(store, clock, 1.0)
        await clock.advance(1.0)
        await until_unsent(store, 0)
    assert network.attempts == ["o1", "o1"]


async def test_an_outage_pauses_everything_once_and_postpones_no_message(
    store: SqliteStore, relay: Relay, network: Network, clock: VirtualClock
) -> None:
    network.outage = BrokerUnavailableError("no broker answers")
    await store.commit(Commit(outgoing=tuple(outgoing(f"o{n}", conversation=f"c{n}") for n in range(20))))
    async with running(relay):
        await until(lambda: "outages=1" in repr(relay))
        tried = len(network.attempts)
        await until(lambda: network.in_flight == 0)
        assert tried <= 8
        await clock.advance(1.0)
        await until(lambda: "outages=2" in repr(relay))
        network.outage = None
        await until(lambda: network.in_flight == 0)
        await clock.advance(1.0)
        assert network.published == []
        await clock.advance(1.0)
        await until_unsent(store, 0)
    assert "outages=0" in repr(relay)
    assert sorted(network.published_ids) == sorted(f"o{n}" for n in range(20))


async def test_what_the_broker_forbids_is_given_up_and_its_followers_go_on(
    store: SqliteStore, relay: Relay, network: Network, clock: VirtualClock
) -> None:
    network.failures["o1"].append(NotPermittedError("no right to write backend-agent.infrastructure_ready"))
    await store.commit(Commit(outgoing=(outgoing("o1"), outgoing("o2"))))
    async with running(relay):
        assert await relay.drain(clock.now() + timedelta(seconds=5)) == 0
    assert network.published_ids == ["o2"]
    (line,) = await store.audit()
    assert (line.entry.action, line.entry.details["messageId"]) == ("outgoing_abandoned", "o1")


async def test_an_answer_goes_to_the_address_of_the_one_who_waits(
    store: SqliteStore, relay: Relay, network: Network, clock: VirtualClock
) -> None:
    async with network.replies() as (address, deliveries), running(relay):
        await write(store, relay, answer("o1", address))
        with anyio.fail_after(5.0):
            assert (await anext(deliveries)).routing_key == f"{address}.infrastructure_ready"
    began = clock.monotonic()
    async with running(relay):
        await write(store, relay, answer("o2", address))
        with anyio.fail_after(5.0):
            while not await store.audit():
                await clock.advance(0.5)
    assert 8.0 <= clock.monotonic() - began <= 17.0  # whoever has lost a connection had time to come back
    assert (await store.counts()).unsent == 0
    assert [line.entry.details["messageId"] for line in await store.audit()] == ["o2"]


def answer(message_id: str, address: str) -> OutboxMessage:
    message = outgoing(message_id)
    return OutboxMessage(
        message.message_id,
        message.receiver,
        message.type,
        message.conversation_id,
        message.body,
        message.created_at,
        reply_to=address,
    )


async def test_draining_ends_at_the_deadline_and_says_what_is_left(
    store: SqliteStore, relay: Relay, network: Network, clock: VirtualClock
) -> None:
    network.gate = asyncio.Event()
    await store.commit(Commit(outgoing=(outgoing("o1"), outgoing("o2", conversation="proj-141"))))
    left: list[int] = []

    async def drain() -> None:
        left.append(await relay.drain(clock.now() + timedelta(seconds=5)))

    async with running(relay), anyio.create_task_group() as group:
        await until(lambda: network.in_flight == 2)
        group.start_soon(drain)
        await until(lambda: "sleepers=1" in repr(clock))
        await clock.advance(5.0)
        await until(lambda: left == [2])


async def test_a_cancelled_relay_marks_what_was_confirmed_and_repeats_the_rest(
    store: SqliteStore, relay: Relay, network: Network, clock: VirtualClock
) -> None:
    network.gate = asyncio.Event()
    await store.commit(Commit(outgoing=(outgoing("o1"),)))
    async with running(relay):
        await until(lambda: network.in_flight == 1)
    network.gate = None
    async with running(relay):
        await until(lambda: network.published_ids == ["o1"])
    assert (await store.counts()).unsent == 0
    assert network.attempts == ["o1", "o1"]


class Flaky(SqliteStore):
    """A store whose disk is full for the first question."""

    refusals = 1

    async def unsent(self, *, limit: int) -> tuple[OutboxMessage, ...]:
        if self.refusals:
            self.refusals -= 1
            raise StoreUnavailableError("the disk is full")
        return await super().unsent(limit=limit)


async def test_an_absent_store_is_waited_for(tmp_path: Path, network: Network, clock: VirtualClock) -> None:
    store = await Flaky.open(tmp_path / "flaky.db", agent="devops-agent", clock=clock)
    relay = Relay(store, network, clock=clock, identity="devops-agent", backoff=Backoff(chance=lambda: 0.5))
    await store.commit(Commit(outgoing=(outgoing("o1"),)))
    async with running(relay):
        await until(lambda: "sleepers=1" in repr(clock))
        await clock.advance(0.5)
        await until_unsent(store, 0)
    await store.aclose()


async def test_a_mistake_in_the_program_ends_the_run(store: SqliteStore, relay: Relay, network: Network) -> None:
    network.outage = UsageError("closed")
    await store.commit(Commit(outgoing=(outgoing("o1"),)))
    with pytest.raises(ExceptionGroup) as caught:
        await relay.run()
    assert caught.group_contains(UsageError)


def test_delays_double_up_to_a_bound_and_are_spread() -> None:
    assert [Backoff(chance=lambda: 0.0).delay(attempt) for attempt in (1, 2, 3, 7, 99)] == [0.5, 1.0, 2.0, 30.0, 30.0]
    assert Backoff(chance=lambda: 0.999).delay(7) == pytest.approx(15.0, rel=0.01)


async def test_refused_credentials_end_the_run_and_give_no_message_up(
    store: SqliteStore, relay: Relay, network: Network
) -> None:
    network.outage = LoginRefusedError("127.0.0.1:5672 refused the credentials of devops-agent")
    await store.commit(Commit(outgoing=(outgoing("o1"), outgoing("o2", conversation="proj-141"))))
    with pytest.raises(ExceptionGroup) as ended, anyio.fail_after(5.0):
        await relay.run()
    assert ended.group_contains(LoginRefusedError)
    network.outage = None
    async with running(relay):
        await until_unsent(store, 0)
    assert sorted(network.published_ids) == ["o1", "o2"]
