"""An emulated AWS account, spoken to by the production client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from interlock.agents.sandbox.aws import SandboxAws
from interlock.agents.systems.aws import Aws, AwsDirectEngine
from interlock.protocol.infrastructure import DatabaseSpec


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for all tests of this folder, so that they share the emulator."""
    return "asyncio"


@pytest.fixture(scope="session")
async def account() -> AsyncIterator[tuple[SandboxAws, Aws]]:
    async with SandboxAws() as sandbox, Aws(sandbox.settings) as opened:
        yield sandbox, opened


@pytest.fixture
async def aws(account: tuple[SandboxAws, Aws]) -> Aws:
    """A connection to an account that no test has touched."""
    sandbox, opened = account
    await sandbox.reset(opened)
    return opened


@pytest.fixture
def engine(aws: Aws) -> AwsDirectEngine:
    return AwsDirectEngine(aws, available_within=5.0, poll_interval=0.01)


@pytest.fixture
async def database(engine: AwsDirectEngine, spec: DatabaseSpec) -> DatabaseSpec:
    """The specification, applied."""
    plan = await engine.plan(spec, issue="PROJ-140")
    await engine.apply(plan, approved_digest=plan.digest, issue="PROJ-140")
    return spec
