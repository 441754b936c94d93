"""One managed broker with the team's users for all of the doctor's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal

from agents.doctor.installation import Installation
from interlock.agents.permissions import allowed_rows
from interlock.bus.private_broker import PrivateBroker, find_server
from interlock.bus.rabbitmq import Definitions, definitions
from interlock.protocol.roles import CONSOLE


@pytest.fixture(scope="session")
def users() -> Definitions:
    return definitions(allowed_rows(), observers=(CONSOLE,))


@pytest.fixture(scope="session")
def team_broker(tmp_path_factory: pytest.TempPathFactory, users: Definitions) -> Iterator[PrivateBroker]:
    if find_server() is None:
        pytest.fail("no rabbitmq-server: `make test` installs it")
    broker = PrivateBroker(tmp_path_factory.mktemp("broker"), definitions=users, management=True)
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(broker):
        yield broker


@pytest.fixture
async def installation(team_broker: PrivateBroker, users: Definitions, tmp_path: Path) -> AsyncIterator[Installation]:
    """Everything as it should be; a test that breaks something mends it again."""
    async with Installation.open(team_broker, users, tmp_path) as installation:
        yield installation
