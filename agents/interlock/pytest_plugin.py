"""What pytest gets when Interlock is installed: fixtures, a mark and an option; each imports what it needs when used.

It stands beside the packages, not in one of them: pytest loads it in every project, also in those that have no use for
it, and there it must cost nothing. The asynchronous fixtures are run by anyio's plugin, which Interlock brings along.
"""

from __future__ import annotations

__all__ = ["agent", "bus", "clock", "pytest_addoption", "pytest_configure", "rabbitmq", "replay", "workflow"]

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # loading these costs more than a project without agents may pay
    from collections.abc import Collection

    from interlock.agents.agent import Agent
    from interlock.agents.testing import AgentSession, BrokerForTests, ReplayRecording, WorkflowTester
    from interlock.agents.testing.rabbitmq import RabbitServer
    from interlock.agents.testing.subject import Subject
    from interlock.agents.workflow import Workflow
    from interlock.bus.clock import VirtualClock

_MARK = "rabbitmq"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes recordings anew."""
    parser.getgroup("interlock").addoption(
        "--update-recordings",
        action="store_true",
        help="Write what agents answer now into the recordings, instead of comparing with them.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    config.addinivalue_line("markers", f"{_MARK}: the fixtures bus, agent and replay are over a RabbitMQ")


@pytest.fixture
def clock() -> VirtualClock:
    """Time that stands still until the test advances it; the agents of the `agent` fixture live in it."""
    from interlock.bus.clock import VirtualClock

    return VirtualClock()


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitServer]:
    """A RabbitMQ for the session: INTERLOCK_TEST_BROKER_URL, else a private process, else a container.

    Where there is none, the tests that need it fail, and say what to install.
    """
    from anyio.from_thread import start_blocking_portal

    from interlock.agents.testing.rabbitmq import find_rabbitmq
    from interlock.protocol.errors import UsageError

    try:
        with (
            start_blocking_portal("asyncio") as portal,
            portal.wrap_async_context_manager(find_rabbitmq(tmp_path_factory.mktemp("rabbitmq"))) as server,
        ):
            yield server
    except UsageError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
async def bus(request: pytest.FixtureRequest) -> AsyncIterator[BrokerForTests]:
    """A broker of the test's own: in memory, or with `@pytest.mark.rabbitmq` a RabbitMQ.

    `@pytest.mark.parametrize("bus", ["memory", "rabbitmq"], indirect=True)` runs a test on both.
    """
    from interlock.agents.testing import MemoryForTests

    marked = _MARK if request.node.get_closest_marker(_MARK) else "memory"
    kind = getattr(request, "param", marked)
    broker: BrokerForTests
    broker = request.getfixturevalue("rabbitmq").for_test() if kind == _MARK else MemoryForTests()
    try:
        yield broker
    finally:
        await broker.aclose()


@pytest.fixture
async def agent(bus: BrokerForTests, clock: VirtualClock) -> AsyncIterator[Callable[[Agent], AgentSession]]:
    """Get an agent to work: `await agent(backend).receives(ready())` returns what it answers.

    It needs no broker and takes no time, unless the test is on RabbitMQ: then it is the real runtime behind it.
    """
    from interlock.agents.testing import AgentSession

    async with AsyncExitStack() as stack:

        def at_work(tested: Agent) -> AgentSession:
            async def start() -> Subject:
                return await _start(stack, tested, bus, clock)

            return AgentSession(tested, start=start)

        yield at_work


@pytest.fixture
def workflow() -> Callable[[type[Workflow[Any]]], WorkflowTester[Any]]:
    """Begin a conversation of a workflow: `workflow(Change).given(requested, analysed)`; see `WorkflowTester`."""
    from interlock.agents.testing import WorkflowTester

    return WorkflowTester


@pytest.fixture
async def replay(request: pytest.FixtureRequest, bus: BrokerForTests) -> AsyncIterator[ReplayRecording]:
    """Compare an agent with a recording: `await replay(backend, "recordings/accepted.jsonl")`."""
    from interlock.agents.testing import Replay
    from interlock.bus.clock import VirtualClock
    from interlock.protocol.recording import read, write

    async with AsyncExitStack() as stack:

        async def compare(agent: Agent, recording: str | Path, *, ignoring: Collection[str] = ()) -> Subject:
            file = _found(Path(recording), request)
            envelopes = read(file.read_bytes(), catalogue=agent.catalogue)
            replayed = Replay(envelopes, agent=agent.name, name=str(recording), ignoring=ignoring)
            peers = {name for envelope in envelopes for name in (envelope.sender, envelope.receiver)}
            subject = await _start(stack, agent, bus, VirtualClock(envelopes[0].sent_at), peers=peers)
            await replayed.run(subject)
            differences = replayed.differences()
            broken = [turn.error for turn in replayed.turns if turn.error is not None]
            if broken:
                pytest.fail(f"{differences}\n(not written down: {agent.name} gave a message up)", pytrace=False)
            elif differences and request.config.getoption("update_recordings"):
                file.write_bytes(write(replayed.updated()))
            elif differences:
                pytest.fail(f"{differences}\n(--update-recordings writes down what is said now)", pytrace=False)
            return subject

        yield compare


async def _start(
    stack: AsyncExitStack, tested: Agent, bus: BrokerForTests, clock: VirtualClock, *, peers: Collection[str] = ()
) -> Subject:
    from interlock.agents.testing import AgentTester, BusTester
    from interlock.agents.testing.bus_tester import ToldClock

    if bus.kind == "memory":
        return await stack.enter_async_context(AgentTester(tested, clock=clock))
    told = ToldClock(clock.now())
    return await stack.enter_async_context(BusTester(tested, broker=bus, peers=peers, clock=told))


def _found(recording: Path, request: pytest.FixtureRequest) -> Path:
    for folder in (request.path.parent, request.config.rootpath):
        if (folder / recording).is_file():
            return folder / recording
    pytest.fail(
        f"there is no recording {recording} in {request.path.parent} or {request.config.rootpath}", pytrace=False
    )
