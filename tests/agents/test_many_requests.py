"""Ten thousand requests in flight at two replicas of one agent, over RabbitMQ: each is given its own answer."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter, defaultdict
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from agents.at_work import AGENT, CATALOGUE, PEER, Answer, Note, Question
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.runtime import Runtime
from interlock.bus.bus import Bus
from interlock.bus.clock import SystemClock
from interlock.bus.errors import DeadlineExceededError
from interlock.bus.private_broker import PrivateBroker, find_server
from interlock.bus.private_postgres import PrivatePostgres
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.store.moments import to_micros
from interlock.bus.store.opening import open_store
from interlock.bus.store.port import Store
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.ids import new_id

REQUESTS = 10_000
"""At replicas that share a PostgreSQL store, as replicas do; fewer at two that share an open file."""
REQUESTS_TO_ONE_FILE = 1_000
CONVERSATIONS, NOTES = 50, 20
DEADLINE = 500.0
"""Seconds for everything: on an idle machine with two cores it takes about a minute."""

ROWS = {
    PEER: {(AGENT, "question"), (AGENT, "note"), (AGENT, "task_cancelled")},
    AGENT: {(PEER, "answer"), *(("all", f"agent_{news}") for news in ("announced", "heartbeat", "offline"))},
}

pytestmark = [
    pytest.mark.rabbitmq,
    pytest.mark.slow,
    pytest.mark.skipif(find_server() is None, reason="no rabbitmq-server is installed"),
]

StoreFactory = Callable[[Path], AbstractAsyncContextManager[tuple[Store, Store]]]


@asynccontextmanager
async def one_file(directory: Path) -> AsyncGenerator[tuple[Store, Store]]:
    """Both replicas in this process share one open file; each publishes what either has written, so twice."""
    store = await open_store(directory / "agent.sqlite", agent=AGENT, clock=SystemClock())
    yield store, store
    await store.aclose()


@asynccontextmanager
async def postgresql(directory: Path) -> AsyncGenerator[tuple[Store, Store]]:
    """Each replica has a store of its own in one schema, as replicas in two processes have."""
    from interlock.bus.store.postgres.store import migrate_schema  # its driver comes with an extra

    clock = SystemClock()
    async with PrivatePostgres(directory / "postgres") as server:
        await anyio.to_thread.run_sync(partial(migrate_schema, server.url(), agent=AGENT, now=to_micros(clock.now())))
        first, second = [await open_store(server.url(), agent=AGENT, clock=clock) for _ in range(2)]
        yield first, second
        await first.aclose()
        await second.aclose()


class Replica:
    """One process's worth of the agent: its answers can be told from guesses, and it notes what it was given when."""

    def __init__(self, secret: str, notes: dict[str, list[int]], release: anyio.Event) -> None:
        self.agent = Agent(AGENT, catalogue=CATALOGUE)
        self.agent.on(self.answer)
        self.agent.on(self.note)
        self.handled: Counter[str] = Counter()
        self._secret = secret
        self._notes = notes
        self._release = release

    async def answer(self, question: Question, _: Context) -> Answer:
        self.handled["question"] += 1
        if question.text == "late":
            await self._release.wait()
        return Answer(text=sealed(question.text, self._secret))

    async def note(self, note: Note, context: Context) -> None:
        self.handled["note"] += 1
        numbers = self._notes[context.conversation_id]
        seen = len(numbers)
        await anyio.lowlevel.checkpoint()
        assert len(numbers) == seen, "another replica is at work on the same conversation"
        numbers.append(int(note.text))


def sealed(text: str, secret: str) -> str:
    """Return what only the agent can know, and only for this request."""
    return hashlib.sha256(f"{secret}:{text}".encode()).hexdigest()


@asynccontextmanager
async def two_replicas(
    directory: Path, open_stores: StoreFactory, secret: str, release: anyio.Event
) -> AsyncGenerator[tuple[Bus, tuple[Replica, Replica], dict[str, list[int]]]]:
    """Run both over a broker of their own, and a bus that asks them."""
    clock, notes = SystemClock(), defaultdict[str, list[int]](list)
    replicas = (Replica(secret, notes, release), Replica(secret, notes, release))
    rows = definitions(ROWS, observers=(PEER,))
    async with AsyncExitStack() as stack:
        broker = await stack.enter_async_context(PrivateBroker(directory, definitions=rows))

        async def connect(identity: str) -> RabbitTransport:
            transport = await RabbitTransport.connect(broker.url(identity), identity=identity)
            stack.push_async_callback(transport.aclose)
            return transport

        await (await connect(ADMIN)).declare(Topology((AgentQueue(PEER), AgentQueue(AGENT))))
        stores = await stack.enter_async_context(open_stores(directory))
        bus = Bus(await connect(PEER), clock=clock, catalogue=CATALOGUE)
        stack.push_async_callback(bus.aclose)
        tasks = await stack.enter_async_context(anyio.create_task_group())
        runtimes = [
            Runtime(replica.agent, transport=await connect(AGENT), store=store, clock=clock)
            for replica, store in zip(replicas, stores, strict=True)
        ]
        for runtime in runtimes:
            ready = anyio.Event()
            tasks.start_soon(partial(runtime.run, ready=ready))
            await ready.wait()
        yield bus, replicas, notes
        for runtime in runtimes:
            runtime.stop()


@pytest.mark.parametrize(
    ("open_stores", "requests"),
    [
        pytest.param(one_file, REQUESTS_TO_ONE_FILE, id="one file"),
        pytest.param(postgresql, REQUESTS, id="postgresql", marks=pytest.mark.postgres),
    ],
)
async def test_each_of_ten_thousand_requests_gets_its_own_answer(
    tmp_path: Path, open_stores: StoreFactory, requests: int
) -> None:
    secret, release = secrets.token_hex(8), anyio.Event()
    answers: dict[str, str] = {}
    async with two_replicas(tmp_path, open_stores, secret, release) as (bus, replicas, notes):

        async def ask(text: str) -> None:
            answer = await bus.request(Question(text=text), to=AGENT, answers=Answer, timeout=DEADLINE)
            answers[text] = answer.text

        async def tell(conversation_id: str) -> None:
            for number in range(NOTES):
                await bus.publish(Note(text=str(number)), to=AGENT, conversation_id=conversation_id, timeout=DEADLINE)

        async def ask_in_vain() -> None:
            with pytest.raises(DeadlineExceededError, match=f"{AGENT} did not answer 'question'"):
                await bus.request(Question(text="late"), to=AGENT, answers=Answer, timeout=2.0)

        texts = [secrets.token_hex(8) for _ in range(requests)]
        conversations = [new_id() for _ in range(CONVERSATIONS)]
        with anyio.fail_after(DEADLINE):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask_in_vain)
                for text in texts:
                    tasks.start_soon(ask, text)
                for conversation_id in conversations:
                    tasks.start_soon(tell, conversation_id)
                while bus.statistics().pending < requests + 1:  # all of them at the same time
                    await anyio.lowlevel.checkpoint()
            while sum(map(len, notes.values())) < CONVERSATIONS * NOTES:  # noqa: ASYNC110 - a note has no answer
                await anyio.sleep(0.01)
            assert bus.statistics().pending == 0

            # Only now the slow handler answers: its answer comes to the same address as the next one, and before it.
            late = bus.statistics().late
            async with bus.observe(f"reply.{PEER}.#") as copies:
                release.set()
                async for copy in copies:
                    if copy.payload == Answer(text=sealed("late", secret)):
                        break
            await ask("afterwards")
            assert bus.statistics().late > late

        assert answers == {text: sealed(text, secret) for text in (*texts, "afterwards")}
        counted = bus.statistics()
        assert (counted.answered, counted.exceeded) == (requests + 1, 1)
        assert (counted.pending, counted.mismatched, counted.unreadable, counted.failed) == (0, 0, 0, 0)
        assert notes == {conversation_id: list(range(NOTES)) for conversation_id in conversations}
        # Each message was handled once, and both replicas had their share.
        assert sum((replica.handled for replica in replicas), Counter()) == {
            "question": requests + 2,
            "note": CONVERSATIONS * NOTES,
        }
        assert all(replica.handled.total() > requests / 10 for replica in replicas)
