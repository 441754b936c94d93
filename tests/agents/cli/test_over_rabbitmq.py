"""`send`, `tail` and `approvals` as processes of their own, over a private RabbitMQ."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.from_thread import start_blocking_portal
from anyio.streams.text import TextReceiveStream

from agents.cli.coordinating import AUTHOR, TOPOLOGY, coordinating
from agents.cli.running import COMMAND, MESSAGES, environment, interlock, run_process
from interlock.agents.telemetry.trace_file import read_trace
from interlock.bus.clock import SystemClock
from interlock.bus.private_broker import PrivateBroker, find_server
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.transport import AgentQueue, Outgoing, Topology, Transport
from interlock.protocol import CATALOGUE, decode
from interlock.protocol.ids import new_id
from interlock.protocol.message import ALL
from interlock.protocol.roles import ALL_ROLES, CONSOLE

pytestmark = pytest.mark.rabbitmq

ALLOWED = {
    sender: {
        (receiver, name)
        for name, route in CATALOGUE.routes().items()
        for receiver in (*ALL_ROLES, ALL)
        if route.allows(sender, receiver)
    }
    for sender in ALL_ROLES
}


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    if find_server() is None:
        pytest.fail("no rabbitmq-server: `make test` installs it")
    private = PrivateBroker(tmp_path_factory.mktemp("rabbitmq"), definitions=definitions(ALLOWED, observers={CONSOLE}))

    async def declare() -> None:
        transport = await RabbitTransport.connect(private.url(), identity=ADMIN)
        await transport.declare(Topology((*TOPOLOGY.agents, AgentQueue("backend-agent"))))
        await transport.aclose()

    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(private):
        portal.call(declare)
        yield private


def settings(broker: PrivateBroker, identity: str) -> dict[str, str]:
    return {"INTERLOCK_BROKER_URL": broker.url(identity)}


@asynccontextmanager
async def tailing(broker: PrivateBroker, *arguments: str) -> AsyncGenerator[Process]:
    """Start `interlock tail`, and go on when it follows."""
    process = await anyio.open_process(
        [*COMMAND, "tail", *arguments],
        env=environment(**settings(broker, CONSOLE)),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    async with process:
        try:
            assert process.stderr is not None
            with anyio.fail_after(20):
                assert "following " in await anext(aiter(TextReceiveStream(process.stderr)))
            yield process
        except BaseException:  # else its end would be waited for: it follows until somebody interrupts it
            process.kill()
            raise


async def printed(process: Process) -> str:
    assert process.stdout is not None
    with anyio.fail_after(20):
        return "".join([text async for text in TextReceiveStream(process.stdout)])


async def test_what_is_sent_from_the_command_line_begins_a_trace(broker: PrivateBroker, tmp_path: Path) -> None:
    file, trace = tmp_path / "progress.json", tmp_path / "trace.jsonl"
    file.write_text(
        '{"from": "devops-agent", "to": "backend-agent", "type": "task_progress", "payload": {"step": "half-way"}}'
    )
    traced = settings(broker, "devops-agent") | {"INTERLOCK_TELEMETRY__TRACES": str(trace)}
    result = await run_process("send", file, settings=traced)
    assert result.returncode == 0, result.stderr
    transport = await RabbitTransport.connect(broker.url("backend-agent"), identity="backend-agent")
    with anyio.fail_after(10):
        async with transport.consume() as deliveries:
            delivery = await anext(aiter(deliveries))
            await delivery.ack()
    await transport.aclose()
    envelope, (span,) = decode(delivery.body), read_trace(trace)
    assert span.name == "send task_progress"
    assert envelope.traceparent == f"00-{span.trace_id}-{span.span_id}-01"
    assert (span.parent_id, span.trace_id) == (None, envelope.conversation_id.replace("-", ""))


async def test_a_bare_message_is_completed_sent_and_delivered(broker: PrivateBroker) -> None:
    result = await run_process(
        "send", MESSAGES / "infrastructure_ready.json", "--json", settings=settings(broker, "devops-agent")
    )
    assert result.returncode == 0, result.stderr
    sent = json.loads(result.stdout)["sent"]
    transport = await RabbitTransport.connect(broker.url("backend-agent"), identity="backend-agent")
    with anyio.fail_after(10):
        async with transport.consume() as deliveries:
            delivery = await anext(aiter(deliveries))
            await delivery.ack()
    await transport.aclose()
    envelope = decode(delivery.body)
    assert (delivery.sender, envelope.type) == ("devops-agent", "infrastructure_ready")
    assert sent[0]["id"] == envelope.id
    assert envelope.id.encode() in result.stderr
    assert envelope.conversation_id.encode() in result.stderr


def test_a_receiver_without_a_queue_is_one_clear_line(broker: PrivateBroker) -> None:
    result = interlock(
        "send", MESSAGES / "deployment_environment_ready.json", settings=settings(broker, "devops-agent")
    )
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(
        "UnroutableError: no agent is bound for 'deploy-agent.deployment_environment_ready'"
    )
    assert result.stderr.count("\n") == 1


def test_somebody_elses_credentials_are_refused(broker: PrivateBroker) -> None:
    result = interlock("send", MESSAGES / "infrastructure_ready.json", settings=settings(broker, "backend-agent"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("NotPermittedError: ")
    assert result.stderr.count("\n") == 1


def test_credentials_that_are_wrong_are_refused_without_repeating_them(broker: PrivateBroker) -> None:
    configured = {**settings(broker, "devops-agent"), "INTERLOCK_BROKER__PASSWORD": "canary-5f1c0a"}
    result = interlock("send", MESSAGES / "infrastructure_ready.json", settings=configured)
    assert result.exit_code == 1
    assert result.stderr.startswith("LoginRefusedError: ")
    assert "canary-5f1c0a" not in result.stderr


def test_a_wrong_message_keeps_all_from_being_sent(broker: PrivateBroker, tmp_path: Path) -> None:
    good = json.dumps(json.loads((MESSAGES / "infrastructure_ready.json").read_bytes()))
    path = tmp_path / "messages.jsonl"
    path.write_text(f"{good}\n{{}}\n")
    result = interlock("send", path, settings=settings(broker, "devops-agent"))
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{path}:2: type: a string is required; nothing was sent (invalid_field)" in result.stderr


def test_without_a_broker_the_error_says_where_to_set_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = interlock("send", MESSAGES / "infrastructure_ready.json")
    assert result.exit_code == 2
    assert "INTERLOCK_BROKER_URL" in result.stderr


def test_the_in_memory_bus_is_refused_because_no_other_process_is_on_it() -> None:
    result = interlock("tail", settings={"INTERLOCK_BROKER_URL": "memory:"})
    assert result.exit_code == 2
    assert "amqp://" in result.stderr


def test_a_pattern_that_is_none_is_a_usage_error() -> None:
    result = interlock("tail", "a b")
    assert result.exit_code == 2
    assert "is no pattern" in result.stderr


@pytest.mark.parametrize(
    ("sender", "code", "message"),
    [
        ("QA Agent", 2, "'QA Agent' is no agent's name"),
        ("qa-agent", 1, "qa-agent may not send infrastructure_ready to backend-agent; nothing was sent"),
    ],
)
def test_a_sender_that_may_not_say_it_is_refused(sender: str, code: int, message: str) -> None:
    result = interlock("send", MESSAGES / "infrastructure_ready.json", "--from", sender)
    assert result.exit_code == code
    assert message in result.stderr


@pytest.mark.parametrize(
    "asked_for",
    [("backend-agent.#",), ("--issue", "PROJ-140", "--type", "infrastructure_ready", "--to", "backend-agent")],
)
async def test_tail_shows_what_matches_until_its_limit(broker: PrivateBroker, asked_for: tuple[str, ...]) -> None:
    async with tailing(broker, *asked_for, "--limit", "1", "--json") as process:
        await run_process("send", MESSAGES / "infrastructure_ready.json", settings=settings(broker, "devops-agent"))
        lines = (await printed(process)).splitlines()
        assert await process.wait() == 0
    assert [json.loads(line)["type"] for line in lines] == ["infrastructure_ready"]


async def test_tail_begins_with_what_was_sent_before_and_shows_each_message_once(broker: PrivateBroker) -> None:
    async def send() -> str:
        sending = await run_process(
            "send", MESSAGES / "infrastructure_ready.json", "--json", settings=settings(broker, "devops-agent")
        )
        assert sending.returncode == 0, sending.stderr
        return str(json.loads(sending.stdout)["sent"][0]["id"])

    begin = datetime.now(UTC).isoformat()
    earlier = await send()
    async with tailing(broker, "backend-agent.#", "--since", begin, "--limit", "2", "--json") as process:
        later = await send()
        lines = (await printed(process)).splitlines()
        assert await process.wait() == 0
    assert [json.loads(line)["id"] for line in lines] == [earlier, later]


async def test_tail_goes_on_after_what_is_no_message_and_shows_it_harmless(broker: PrivateBroker) -> None:
    bare = Outgoing(
        body=b'{"\x1b[2J',
        message_id=new_id(),
        sender="devops-agent",
        receiver="backend-agent",
        type="infrastructure_ready",
        conversation_id=new_id(),
        sent_at=datetime.now(UTC),
    )
    async with tailing(broker, "backend-agent.#", "--limit", "1") as process:
        transport = await RabbitTransport.connect(broker.url("devops-agent"), identity="devops-agent")
        await transport.publish(bare)
        await transport.aclose()
        assert await printed(process) == ""
        assert await process.wait() == 0
        assert process.stderr is not None
        told = "".join([text async for text in TextReceiveStream(process.stderr)])
    assert told.startswith("backend-agent.infrastructure_ready from devops-agent: cannot be decoded")
    assert "\x1b" not in told


async def test_tail_says_once_that_the_broker_is_away_and_goes_on(tmp_path: Path) -> None:
    rows = definitions(ALLOWED, observers={CONSOLE})
    async with PrivateBroker(tmp_path, definitions=rows) as own:
        admin = await RabbitTransport.connect(own.url(), identity=ADMIN)
        await admin.declare(Topology(agents=(AgentQueue("backend-agent"),)))
        await admin.aclose()
        # RabbitMQ 3.10 may leave a queue without a leader that was killed within a second of its declaration.
        await anyio.sleep(2.0)
        async with tailing(own, "--limit", "1") as process:
            assert process.stderr is not None
            told = aiter(TextReceiveStream(process.stderr))
            with anyio.fail_after(120):
                await own.kill()
                away = await anext(told)
                assert f"the broker at 127.0.0.1:{own.port} is away: waiting for it" in away
                await own.start()
                assert "is back" in await anext(told)
                sent = await run_process(
                    "send", MESSAGES / "infrastructure_ready.json", settings=settings(own, "devops-agent")
                )
                assert sent.returncode == 0, sent.stderr
                assert "infrastructure_ready" in await printed(process)


async def test_tail_ends_with_130_when_interrupted(broker: PrivateBroker) -> None:
    async with tailing(broker) as process:
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(20):
            assert await process.wait() == 130
        assert process.stderr is not None
        rest = "".join([text async for text in TextReceiveStream(process.stderr)])
    assert "Traceback" not in rest


async def test_people_decide_from_the_command_line(broker: PrivateBroker, tmp_path: Path) -> None:
    async def connect(identity: str) -> Transport:
        return await RabbitTransport.connect(broker.url(identity), identity=identity)

    console = {**settings(broker, CONSOLE), "INTERLOCK_STATE_DIR": str(tmp_path)}
    async with coordinating(connect, state_dir=tmp_path, clock=SystemClock()) as coordinator:
        asked = await coordinator.ask_for_budget()
        own = await run_process("approvals", "grant", asked.approval_id, "--as", AUTHOR, settings=console)
        granted = await run_process(
            "approvals", "grant", asked.approval_id, "--as", "alice", "--json", settings=console
        )
        again = await run_process(
            "approvals", "deny", asked.approval_id, "--as", "bob", "--reason", "no", "--json", settings=console
        )
    assert (own.returncode, own.stdout) == (1, b"")
    assert own.stderr.startswith(b"DecisionRefusedError: ")
    assert own.stderr.endswith(b"(own_change)\n")
    assert granted.returncode == 0, granted.stderr
    assert json.loads(granted.stdout)["state"] == "used"
    assert again.returncode == 1
    assert json.loads(again.stdout)["error"]["kind"] == "DecisionRefusedError"
