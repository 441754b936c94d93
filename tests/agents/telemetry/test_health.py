"""Whether a process is well, asked as a probe asks."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.lowlevel
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from agents.at_work import AGENT, CATALOGUE, Answer, Question, Workplace, workplace
from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.telemetry.health import HealthServer
from interlock.agents.telemetry.opening import open_telemetry
from interlock.agents.telemetry.settings import HealthSettings, TelemetrySettings
from interlock.agents.telemetry.standing import Standing
from interlock.agents.telemetry.watching import watched
from interlock.bus.telemetry import OFF
from interlock.protocol.errors import PermanentError, UsageError

LOCAL = HealthSettings(listen="127.0.0.1:0")


@pytest.fixture
def library() -> Agent:
    agent = Agent(AGENT, catalogue=CATALOGUE)

    @agent.on
    async def answer(question: Question, _: Context) -> Answer:
        if question.text == "no":
            raise PermanentError("there is no such book")
        return Answer(text=question.text)

    return agent


@asynccontextmanager
async def probed(place: Workplace, *, metrics: str = "off") -> AsyncGenerator[tuple[httpx.AsyncClient, Standing]]:
    """Run the agent with its health endpoint, and yield a client of that."""
    transport = place.broker.connect(AGENT)
    async with (
        open_telemetry(
            TelemetrySettings(metrics=metrics), agent=AGENT, version="1", system="memory", clock=place.clock
        ) as opened,
        place.running(telemetry=opened.telemetry, transport=transport) as (runtime, store),
    ):
        standing = Standing(AGENT, runtime, transport, store, opened.telemetry)
        async with watched([standing], [opened], settings=LOCAL, clock=place.clock) as server:
            assert server is not None
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}") as client:
                yield client, standing


async def test_an_agent_that_takes_messages_is_ready(library: Agent, tmp_path: Path) -> None:
    async with workplace(library, tmp_path) as place, probed(place) as (client, _):
        live, ready = await client.get("/live"), await client.get("/ready")

    assert (live.status_code, live.json()) == (200, {"status": "live", "agents": [AGENT]})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "agents": {AGENT: {"ready": True}}})
    assert ready.headers["Cache-Control"] == "no-store"


@dataclass(frozen=True)
class Working:
    """A runtime, as far as it is asked."""

    is_taking: bool = True
    is_stopping: bool = False


async def reasons(place: Workplace, runtime: Working, *, connected: bool = True, stored: bool = True) -> list[str]:
    """Return what `/ready` says of an agent whose parts are in this state, with the status that belongs to it."""
    transport, store = place.broker.connect(AGENT), await place.open_store()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(store.aclose)
        if connected:
            await stack.enter_async_context(transport.consume())
        else:
            await transport.aclose()
        if not stored:
            await store.aclose()
        standing = Standing(AGENT, runtime, transport, store, OFF)
        server = await stack.enter_async_context(HealthServer([standing]).listening("127.0.0.1:0"))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}"))
        ready = await client.get("/ready")
        assert (await client.get("/live")).status_code == 200
    assert ready.status_code == 503
    found: list[str] = ready.json()["agents"][AGENT]["reasons"]
    return found


async def test_one_that_takes_no_messages_says_why(library: Agent, tmp_path: Path) -> None:
    async with workplace(library, tmp_path) as place:
        assert await reasons(place, Working(is_taking=False)) == ["it is starting"]
        assert await reasons(place, Working(is_stopping=True)) == ["it is stopping"]
        assert await reasons(place, Working(), connected=False) == ["the broker is not connected"]
        assert await reasons(place, Working(), stored=False) == ["the store does not answer within 2 s"]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /live HTTP/1.1", 200),
        (b"HEAD /live HTTP/1.1", 200),
        (b"GET /live?probe=1 HTTP/1.0", 200),
        (b"POST /live HTTP/1.1", 405),
        (b"GET /metrics HTTP/1.1", 404),
        (b"GET / HTTP/1.1", 404),
        (b"GET /live", 400),
        (b"\x16\x03\x01\x02", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1", 431),
    ],
)
async def test_nothing_but_small_reads_is_answered(request_line: bytes, status: int) -> None:
    answer = b""
    async with (
        HealthServer([]).listening("127.0.0.1:0") as server,
        await anyio.connect_tcp("127.0.0.1", server.port) as stream,
    ):
        await stream.send(request_line + b"\r\nHost: here\r\n\r\n")
        with anyio.fail_after(5), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                answer += await stream.receive()

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b" ")[1] == str(status).encode()
    assert body == b"" if request_line.startswith(b"HEAD") else json.loads(body)


async def test_an_address_that_is_taken_is_named() -> None:
    async with HealthServer([]).listening("127.0.0.1:0") as server:
        taken = HealthServer([]).listening(f"127.0.0.1:{server.port}")
        with pytest.raises(UsageError, match=f"127.0.0.1:{server.port}"):
            await taken.__aenter__()


async def test_prometheus_reads_what_the_agent_did(library: Agent, tmp_path: Path) -> None:
    async with workplace(library, tmp_path) as place, probed(place, metrics="prometheus") as (client, _):
        for text in ("yes", "yes", "no"):
            await place.say(Question(text=text))
        await place.until(lambda: len(place.told) == 3)
        with anyio.fail_after(10):  # that they have gone is written down after they have arrived
            while (
                f'interlock_outbox_unsent{{agent="{AGENT}"}} 0.0' not in (answered := await client.get("/metrics")).text
            ):
                await anyio.lowlevel.checkpoint()

    samples = {
        (sample.name, sample.labels.get("interlock_message_type") or sample.labels.get("interlock_inbox_state")): sample
        for family in text_string_to_metric_families(answered.text)
        for sample in family.samples
        if "le" not in sample.labels
    }
    assert answered.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert {sample.labels["agent"] for sample in samples.values()} == {AGENT}
    assert samples["messaging_client_consumed_messages_total", "question"].value == 3
    assert samples["messaging_client_sent_messages_total", "answer"].value == 2
    assert samples["messaging_client_sent_messages_total", "task_failed"].value == 1
    assert samples["interlock_deaths_total", "question"].value == 1
    assert samples["interlock_inbox_messages", "dead"].value == 1
    assert samples["interlock_inbox_messages", "ready"].value == 0
    assert samples["interlock_outbox_unsent", None].value == 0
    assert samples["interlock_broker_consuming", None].value == 1
    assert samples["messaging_client_operation_duration_seconds_count", "answer"].value == 2


async def test_prometheus_without_an_address_is_a_mistake(library: Agent, tmp_path: Path) -> None:
    async with (
        workplace(library, tmp_path) as place,
        open_telemetry(
            TelemetrySettings(metrics="prometheus"), agent=AGENT, version="1", system="memory", clock=place.clock
        ) as opened,
    ):
        entering = watched([], [opened], settings=HealthSettings(), clock=place.clock)
        with pytest.raises(UsageError, match=r"health\.listen"):
            await entering.__aenter__()
