"""A private RabbitMQ with its management API, for what administers brokers: every test has a virtual host's worth."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
from anyio.from_thread import start_blocking_portal

from bus.conftest import MISSING
from bus.harness import AGENTS, ALLOWED
from bus.rabbitmq.administering import Managed
from bus.rabbitmq.bordering import CLIENTS, Border
from interlock.bus.private_broker import PrivateBroker, find_server
from interlock.bus.rabbitmq import definitions


@pytest.fixture(scope="session")
def managed_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrivateBroker]:
    if find_server() is None:
        pytest.fail(MISSING)
    broker = PrivateBroker(
        tmp_path_factory.mktemp("managed"), definitions=definitions(ALLOWED, observers=AGENTS), management=True
    )
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(broker):
        yield broker


@pytest.fixture
async def managed(managed_broker: PrivateBroker) -> AsyncIterator[Managed]:
    """The broker and its administration; everything that it holds is removed afterwards."""
    async with Managed.open(managed_broker) as managed:
        yield managed


@pytest.fixture(params=CLIENTS)
async def border(request: pytest.FixtureRequest, rabbitmq: PrivateBroker) -> AsyncIterator[Border]:
    """The session's broker, over each client in turn; what was declared is removed afterwards."""
    border = Border(rabbitmq, client=request.param)
    yield border
    await border.aclose()
