"""One sandbox for all tests, in a process of its own; the whole team anew for each test, in this one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from end_to_end.demonstration import Demonstration, demonstrate
from end_to_end.desk import Desk
from end_to_end.outside import FIXTURES, Outside
from interlock.agents.demo.stage import MemoryStage
from interlock.agents.demo.world import World
from interlock.agents.systems.aws.session import Aws, AwsSettings


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The sandbox lives as long as the session, and with it the event loop."""
    return "asyncio"


@pytest.fixture(scope="session")
async def outside(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Outside]:
    """The outside systems; the specification's ticket exists from the start, the others are raised by their tests."""
    async with World(tmp_path_factory.mktemp("world"), tickets=(FIXTURES / "proj-140.json",)) as world:
        given = await world.ready()
        jira, account = given["jira"], given["aws"]
        chat = given["chat"]["slack"]["deployments"].partition("/slack/")[0]
        settings = AwsSettings(
            region=account["region"],
            endpoint_url=account["endpoint_url"],
            access_key_id=account["access_key_id"],
            secret_access_key=SecretStr(account["secret_access_key"]),
        )
        async with (
            httpx.AsyncClient(base_url=jira["url"], auth=(jira["user"], jira["token"])) as jira_client,
            httpx.AsyncClient(base_url=chat) as chat_client,
            Aws(settings) as aws,
        ):
            yield Outside(given, jira=jira_client, chat=chat_client, aws=aws)


@pytest.fixture
async def desk(outside: Outside, tmp_path: Path) -> AsyncIterator[Desk]:
    """The console of a team that has just begun to work."""
    async with MemoryStage(tmp_path, settings=outside.settings) as stage, Desk.at(stage) as desk:
        yield desk


@pytest.fixture(scope="session")
async def over_memory(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    """The specification's ticket, demonstrated over the memory bus."""
    return await demonstrate(tmp_path_factory.mktemp("memory"))
