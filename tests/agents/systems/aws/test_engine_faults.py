"""Applies that are cut off, slow or half-done: the outcome is unknown, then looked up, then completed."""

from __future__ import annotations

import pytest
from moto.rds.exceptions import RDSClientError

from interlock.agents.sandbox.aws import SandboxAws
from interlock.agents.systems.aws import Aws, AwsDirectEngine
from interlock.protocol.errors import UnknownOutcomeError
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.values import CheckVerdict

ISSUE = "PROJ-140"


class ServerAtFixedAddress:
    """Reports one address for every database; fails its first creation where it is told to."""

    def __init__(self, *, failure: Exception | None = None) -> None:
        self.failure = failure
        self.asked: list[tuple[str, str, str]] = []

    def provision(self, identifier: str, *, engine: str, database: str, user: str, password: str) -> tuple[str, int]:
        assert len(password) == 40
        self.asked.append((identifier, f"{engine}:{database}", user))
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        return "127.0.0.1", 54_321


async def test_a_creation_whose_answer_was_lost_is_reconciled_and_completed(spec: DatabaseSpec) -> None:
    backend = ServerAtFixedAddress(failure=RuntimeError("the server process died"))
    async with SandboxAws(databases=backend) as sandbox, Aws(sandbox.settings) as aws:
        engine = AwsDirectEngine(aws, poll_interval=0.01)
        plan = await engine.plan(spec, issue=ISSUE)

        with pytest.raises(UnknownOutcomeError, match="create_db_instance for 'prod-db-postgresql'"):
            await engine.apply(plan, approved_digest=plan.digest, issue=ISSUE)
        halfway = await engine.reconcile(plan)
        await engine.apply(plan, approved_digest=plan.digest, issue=ISSUE)
        finally_there = await engine.reconcile(plan)

    assert halfway.outcome == "partly_applied"
    assert halfway.outstanding == ("aws_secretsmanager_secret_version.connection",)
    assert finally_there.outcome == "applied"
    assert len(backend.asked) == 1, "the database must not be created twice"


async def test_nothing_applied_is_told_from_partly_applied(engine: AwsDirectEngine, spec: DatabaseSpec) -> None:
    plan = await engine.plan(spec, issue=ISSUE)

    found = await engine.reconcile(plan)

    assert found.outcome == "not_applied"
    assert len(found.outstanding) == len(plan.changes)


async def test_a_refusal_after_the_first_change_leaves_the_outcome_unknown(spec: DatabaseSpec) -> None:
    full = RDSClientError("InsufficientDBInstanceCapacity", "db.t3.medium is not available in this zone")
    async with SandboxAws(databases=ServerAtFixedAddress(failure=full)) as sandbox, Aws(sandbox.settings) as aws:
        engine = AwsDirectEngine(aws, poll_interval=0.01)
        plan = await engine.plan(spec, issue=ISSUE)

        with pytest.raises(
            UnknownOutcomeError, match=r"stopped after aws_kms_key\.rds.*InsufficientDBInstanceCapacity"
        ):
            await engine.apply(plan, approved_digest=plan.digest, issue=ISSUE)
        found = await engine.reconcile(plan)

    assert found.outcome == "partly_applied"


async def test_an_apply_waits_until_the_database_is_available(spec: DatabaseSpec) -> None:
    backend = ServerAtFixedAddress()
    async with (
        SandboxAws(databases=backend, describes_until_available=4) as sandbox,
        Aws(sandbox.settings) as aws,
    ):
        engine = AwsDirectEngine(aws, poll_interval=0.01)
        plan = await engine.plan(spec, issue=ISSUE)
        await engine.apply(plan, approved_digest=plan.digest, issue=ISSUE)
        instance = await engine.describe_database(spec.identifier)
        checks = await engine.verify(spec)

    assert instance is not None
    assert (instance.status, instance.endpoint, instance.port) == ("available", "127.0.0.1", 54_321)
    assert backend.asked == [("prod-db-postgresql", "postgres:app_db", "dbadmin")]
    assert {check.verdict for check in checks} == {CheckVerdict.PASS}


async def test_a_database_that_never_becomes_available_is_an_unknown_outcome(spec: DatabaseSpec) -> None:
    async with SandboxAws(describes_until_available=10_000) as sandbox, Aws(sandbox.settings) as aws:
        engine = AwsDirectEngine(aws, available_within=0.3, poll_interval=0.01)
        plan = await engine.plan(spec, issue=ISSUE)

        with pytest.raises(UnknownOutcomeError, match=r"aws_db_instance\.production was not as planned after 0 s"):
            await engine.apply(plan, approved_digest=plan.digest, issue=ISSUE)

        outstanding = (await engine.reconcile(plan)).outstanding
    assert "aws_db_instance.production" in outstanding
