"""What the page on observing says holds: its agent, with its settings, over RabbitMQ as a process of its own."""

from __future__ import annotations

import json
import os
import re
import sys
import tomllib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import httpx
import pytest

from docs.snippets import ROOT, named_blocks
from interlock.agents.cli.toml import render_toml
from interlock.agents.permissions import allowed_rows
from interlock.agents.telemetry.trace_file import read_trace
from interlock.bus.clock import SystemClock
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.private_process import PrivateProcess
from interlock.bus.rabbitmq import ADMIN, VHOST, RabbitTransport, definitions
from interlock.bus.transport import AgentQueue, Outgoing, Topology
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import new_id
from interlock.protocol.messages.handoff import InfrastructureAcknowledged, InfrastructureReady
from interlock.protocol.roles import ALL_ROLES, BACKEND, CONSOLE, DEVOPS

PAGE = named_blocks(ROOT / "docs" / "how-to" / "observe.md")
MESSAGE = ROOT / "tests" / "fixtures" / "messages" / "infrastructure_ready.json"

pytestmark = [pytest.mark.slow, pytest.mark.rabbitmq]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def working(folder: Path) -> AsyncGenerator[tuple[RabbitTransport, str]]:
    """Run a broker and the page's agent; yield the devops agent's connection and where health is asked."""
    users = definitions(allowed_rows(), observers=(CONSOLE,))
    (folder / "peer.py").write_text(PAGE["file: peer.py"])
    async with PrivateBroker(folder / "broker", definitions=users) as broker:
        admin = await RabbitTransport.connect(broker.url(), identity=ADMIN, journal=False)
        await admin.declare(Topology(agents=tuple(AgentQueue(name) for name in ALL_ROLES)))
        await admin.aclose()
        settings = tomllib.loads(PAGE["file: interlock.toml"])
        settings["health"]["listen"] = "127.0.0.1:0"
        passwords = {name: password for name, password in users.passwords.items() if name != ADMIN}
        url = f"amqp://127.0.0.1:{broker.port}/{VHOST}"
        (folder / "interlock.toml").write_text(
            render_toml({"broker_url": url, "broker": {"passwords": passwords}, **settings})
        )
        environment = {name: value for name, value in os.environ.items() if not name.startswith("INTERLOCK_")}
        console = folder / "peer.log"
        peer = await PrivateProcess.start(
            [sys.executable, "peer.py"], environment=environment, directory=folder, console=console
        )
        devops = await RabbitTransport.connect(broker.url(DEVOPS), identity=DEVOPS)
        try:
            yield devops, await _address(console)
        finally:
            with anyio.CancelScope(shield=True):
                await devops.aclose()
                await peer.stop(timeout=10)


async def _address(console: Path) -> str:
    """Wait until the agent takes messages; return where it answers."""
    with anyio.fail_after(60):
        while "taking messages" not in (text := _written(console)):  # noqa: ASYNC110 - a file tells nobody of its growth
            await anyio.sleep(0.1)
    found = re.search(r"http://127\.0\.0\.1:\d+", text)
    assert found is not None, "the port that was taken is logged"
    return found[0]


def _written(file: Path) -> str:
    return file.read_text() if file.exists() else ""


async def test_the_page_s_agent_can_be_watched(tmp_path: Path) -> None:
    (tmp_path / "broker").mkdir()
    document = json.loads(MESSAGE.read_text())
    conversation = new_id()
    async with working(tmp_path) as (devops, address), httpx.AsyncClient(base_url=address) as client:
        ready = await client.get("/ready")
        message = InfrastructureReady.model_validate(document["payload"])
        envelope = Envelope.wrap(
            message,
            sender=DEVOPS,
            receiver=BACKEND,
            sent_at=SystemClock().now(),
            conversation_id=conversation,
        )
        async with devops.consume() as deliveries:
            await devops.publish(Outgoing.of(envelope))
            with anyio.fail_after(30):
                delivery = await anext(aiter(deliveries))
            answer = decode(delivery.body)
            await delivery.ack()
        metrics = await client.get("/metrics")

    assert ready.status_code == 200
    assert ready.json()["agents"] == {BACKEND: {"ready": True}}
    assert isinstance(answer.payload, InfrastructureAcknowledged)
    assert f'interlock_outside_duration_seconds_count{{agent="{BACKEND}"' in metrics.text
    assert 'interlock_message_type="infrastructure_acknowledged"' in metrics.text
    spans = {span.name: span for span in read_trace(tmp_path / "trace.jsonl")}
    assert {span.trace_id for span in spans.values()} == {conversation.replace("-", "")}
    assert spans["configuration write"].parent_id == spans["process infrastructure_ready"].span_id
    assert spans["configuration write"].attributes["app.replicas"] == 3
    entries = [json.loads(line) for line in (tmp_path / "peer.log").read_text().splitlines()]
    assert all({"time", "level", "logger", "message"} <= entry.keys() for entry in entries)
