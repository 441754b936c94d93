"""An emulated AWS account, spoken to by the production client."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from interlock.agents.sandbox.aws import SandboxAws
from interlock.agents.systems.aws import Aws, AwsDirectEngine
from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec, StorageType
from interlock.protocol.values import Environment


@pytest.fixture
def spec() -> DatabaseSpec:
    """The database of the specification's ticket, PROJ-140."""
    return DatabaseSpec(
        engine=DatabaseEngine.POSTGRES,
        engine_version="14",
        instance_class="db.t3.medium",
        storage_gb=100,
        storage_type=StorageType.GP3,
        multi_az=True,
        backup_retention_days=7,
        encryption_at_rest=True,
        encryption_in_transit=True,
        publicly_accessible=False,
        environment=Environment.PRODUCTION,
        region="ap-northeast-2",
        vpc="prod-vpc",
        security_group="db-sg",
        identifier="prod-db-postgresql",
    )


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
