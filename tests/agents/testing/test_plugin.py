"""The pytest plugin as users get it: it costs nothing unused, and its fixtures read given / when / then."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.at_work import AGENT, CATALOGUE, PEER, Answer, Note, Question
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.coordinator.change import Change
from interlock.agents.testing import AgentSession, BrokerForTests, WorkflowTester
from interlock.bus.clock import VirtualClock
from interlock.protocol.errors import TransientError
from interlock.protocol.messages.change import ChangeRequested, RequirementsAnalysisRequest
from interlock.protocol.messages.task import TaskProgress

At = Callable[[Agent], AgentSession]

RECORDING = Path(__file__).parents[2] / "recordings" / "unsupported-engine.jsonl"


@pytest.fixture
def library() -> Agent:
    library = Agent(AGENT, catalogue=CATALOGUE)
    heard: list[str] = []

    @library.on
    async def answer(message: Question | Note, context: Context) -> Answer:
        if message.text == "later" and context.attempt == 1:
            raise TransientError("not yet")
        heard.append(message.text)
        return Answer(text=" ".join(heard))

    return library


async def test_an_agent_answers_what_it_receives(agent: At, library: Agent) -> None:
    assert await agent(library).receives(Note(text="hello")) == [Answer(text="hello")]


async def test_what_was_given_before_is_not_among_the_answers(agent: At, library: Agent) -> None:
    answers = await agent(library).given(Note(text="one"), Note(text="two")).receives(Note(text="three"))

    assert answers == [Answer(text="one two three")]


async def test_time_passes_only_when_told(agent: At, clock: VirtualClock, library: Agent) -> None:
    before, session = clock.now(), agent(library)

    assert await session.receives(Question(text="later"), sender=PEER) == []
    assert await session.advance(60) == [Answer(text="later")]
    assert (clock.now() - before).total_seconds() == 60
    assert len({envelope.conversation_id for envelope in session.sent}) == 1


def test_a_workflow_is_stepped_without_an_agent(workflow: Callable[[type[Change]], WorkflowTester[Any]]) -> None:
    change = workflow(Change).given(ChangeRequested(jira_issue="PROJ-140", requested_by="kim"))

    assert change.messages == [RequirementsAnalysisRequest(jira_issue="PROJ-140")]


@pytest.mark.parametrize("bus", ["memory", pytest.param("rabbitmq", marks=pytest.mark.rabbitmq)], indirect=True)
async def test_agents_of_a_test_meet_on_its_bus(bus: BrokerForTests) -> None:
    coordinator = await bus.connect("coordinator")
    devops = await bus.connect("devops-agent")

    sent = await devops.publish(TaskProgress(step="planned", percent=50), to="coordinator")

    async with coordinator.transport.consume() as deliveries:
        delivery = await anext(deliveries)
        await delivery.ack()
    assert sent.encode() in delivery.body


@pytest.mark.rabbitmq
async def test_with_the_mark_the_same_test_is_over_rabbitmq(bus: BrokerForTests, agent: At) -> None:
    backend = Agent("backend-agent")

    @backend.on
    async def progress(_message: TaskProgress, _context: Context) -> TaskProgress:
        return TaskProgress(step="seen", percent=100)

    answers = await agent(backend).receives(TaskProgress(step="planned", percent=50), sender="devops-agent")

    assert bus.kind == "rabbitmq"
    assert answers == [TaskProgress(step="seen", percent=100)]


def pytest_run(folder: Path, test: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_it.py").write_text(test)
    (folder / "unsupported-engine.jsonl").write_bytes(RECORDING.read_bytes())
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_a_project_that_does_not_use_it_imports_nothing_of_it(tmp_path: Path) -> None:
    test = """
import sys

def test_it():
    loaded = {name for name in sys.modules if name.startswith(("interlock", "pydantic", "aio_pika"))}
    assert loaded <= {"interlock", "interlock.pytest_plugin"}, loaded
"""
    ran = pytest_run(tmp_path, test)

    assert ran.returncode == 0, ran.stdout


COORDINATOR = """
import pytest
from interlock.agents.coordinator import coordinator
from interlock.agents.coordinator.states import ChangeStates

pytestmark = pytest.mark.anyio

@pytest.fixture
def anyio_backend():
    return "asyncio"

async def test_it(replay, monkeypatch):
    close = ChangeStates.close
    monkeypatch.setattr(ChangeStates, "close", lambda self, outcome, reason: close(self, outcome, reason + CHANGE))
    await replay(coordinator(), "unsupported-engine.jsonl")
"""


def test_a_recording_beside_the_test_is_replayed(tmp_path: Path) -> None:
    ran = pytest_run(tmp_path, COORDINATOR.replace("CHANGE", "''"))

    assert ran.returncode == 0, ran.stdout


def test_a_deliberate_change_is_shown_as_messages_and_can_be_written_down(tmp_path: Path) -> None:
    changed = COORDINATOR.replace("CHANGE", "', sadly'")

    failed = pytest_run(tmp_path, changed)

    assert failed.returncode == 1, failed.stdout
    assert "coordinator answers otherwise than in unsupported-engine.jsonl:" in failed.stdout
    assert "  when told task_declined by devops-agent (line 3):" in failed.stdout
    assert "    ticket_close_request to devops-agent, other than in line 4" in failed.stdout
    recorded, said, *_ = (line for line in failed.stdout.splitlines() if "payload.reason" in line)
    assert said.replace("+", "-").replace(", sadly", "") == recorded
    assert "Traceback" not in failed.stdout

    updated = pytest_run(tmp_path, changed, "--update-recordings")
    assert updated.returncode == 0, updated.stdout
    assert b", sadly" in (tmp_path / "unsupported-engine.jsonl").read_bytes()


def test_a_recording_that_is_not_there_is_named(tmp_path: Path) -> None:
    ran = pytest_run(tmp_path, COORDINATOR.replace("CHANGE", "''").replace("unsupported-engine", "other"))

    assert ran.returncode == 1
    assert "there is no recording other.jsonl in" in ran.stdout
