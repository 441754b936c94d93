"""Supervised agents are configured as their supervisor is, from wherever it was started."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from interlock.agents.demo.cast import Cast
from interlock.agents.demo.sandbox_settings import environment
from interlock.agents.permissions import allowed_rows
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.roles import COORDINATOR

pytestmark = pytest.mark.rabbitmq


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[PrivateBroker]:
    directory = tmp_path / "broker"
    directory.mkdir()
    async with PrivateBroker(directory, definitions=definitions(allowed_rows())) as broker:
        admin = await RabbitTransport.connect(broker.url(), identity=ADMIN, journal=False)
        await admin.declare(Topology((AgentQueue(COORDINATOR),)))
        await admin.aclose()
        yield broker


async def test_without_a_settings_file_the_environment_and_relative_paths_are_the_supervisor_s(
    broker: PrivateBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    logs, state = tmp_path / "logs", tmp_path / ".interlock"
    logs.mkdir()
    configured = {**environment(), "INTERLOCK_BROKER_URL": broker.url(COORDINATOR)}
    async with Cast([COORDINATOR], config=None, directory=logs, environment=configured, brokers={}):
        with anyio.fail_after(10.0):
            while not (state / f"{COORDINATOR}.sqlite").exists():
                await anyio.lowlevel.checkpoint()
    assert (logs / f"{COORDINATOR}.log").exists()
