"""The direct engine against an emulated account: plans are exact, applies are checked, and repetition is harmless."""

from __future__ import annotations

import pytest

from interlock.agents.systems.aws import Aws, AwsDirectEngine, SecretStore
from interlock.agents.systems.provisioning import Plan, PlanStaleError
from interlock.protocol.errors import PermanentError
from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec
from interlock.protocol.values import CheckVerdict, Environment

ISSUE = "PROJ-140"


async def applied(engine: AwsDirectEngine, plan: Plan) -> dict[str, dict[str, str]]:
    resources = await engine.apply(plan, approved_digest=plan.digest, issue=ISSUE)
    return {resource.address: resource.properties for resource in resources}


async def modify(aws: Aws, identifier: str, **properties: object) -> None:
    request = {"DBInstanceIdentifier": identifier, "ApplyImmediately": True, **properties}
    await aws.rds.call("modify_db_instance", request, about=identifier)


async def test_the_same_specification_and_world_give_the_same_bytes(
    engine: AwsDirectEngine, spec: DatabaseSpec
) -> None:
    first = await engine.plan(spec, issue=ISSUE)
    second = await engine.plan(spec, issue=ISSUE)

    assert first.document == second.document
    assert await engine.describe_database(spec.identifier) is None


async def test_a_plan_names_every_resource_as_terraform_would(engine: AwsDirectEngine, spec: DatabaseSpec) -> None:
    plan = await engine.plan(spec, issue=ISSUE)

    assert [(change.address, change.action) for change in plan.changes] == [
        ("aws_kms_key.rds", "create"),
        ("aws_db_subnet_group.private", "create"),
        ("aws_security_group.db", "create"),
        ("aws_db_parameter_group.tls", "create"),
        ("aws_sns_topic.alerts", "create"),
        ("aws_secretsmanager_secret.database", "create"),
        ("aws_db_instance.production", "create"),
        ("aws_secretsmanager_secret_version.connection", "create"),
    ]


async def test_what_was_applied_is_read_back_and_passes_every_check(
    engine: AwsDirectEngine, spec: DatabaseSpec
) -> None:
    resources = await applied(engine, await engine.plan(spec, issue=ISSUE))
    checks = await engine.verify(spec)

    assert resources["aws_db_instance.production"]["encryptedBy"] == "alias/rds-key"
    assert resources["aws_security_group.db"]["ingress"] == "tcp/5432 from 10.0.0.0/16"
    assert resources["aws_db_parameter_group.tls"]["rds.force_ssl"] == "1"
    assert {check.id: check.evidence for check in checks if check.verdict is not CheckVerdict.PASS} == {}


async def test_production_and_its_rehearsal_share_nothing(engine: AwsDirectEngine, spec: DatabaseSpec) -> None:
    rehearsal = await applied(engine, await engine.plan(spec.rehearsal(), issue=ISSUE))
    production = await applied(engine, await engine.plan(spec, issue=ISSUE))

    assert rehearsal["aws_kms_key.rds"]["alias"] == "alias/test-rds-key"
    assert rehearsal["aws_db_instance.test"]["deletionProtection"] == "false"
    assert production["aws_db_instance.production"]["deletionProtection"] == "true"


async def test_applying_the_same_plan_twice_changes_nothing(engine: AwsDirectEngine, spec: DatabaseSpec) -> None:
    plan = await engine.plan(spec, issue=ISSUE)

    first = await engine.apply(plan, approved_digest=plan.digest, issue=ISSUE)
    before = await engine.raw_resources(spec)
    second = await engine.apply(plan, approved_digest=plan.digest, issue=ISSUE)
    after = await engine.raw_resources(spec)
    for answers in (before, after):
        # The emulator reports the moment of the call.
        answers["DescribeDBInstances"].pop("LatestRestorableTime")

    assert first == second
    assert before == after


async def test_a_plan_for_what_is_there_already_changes_nothing(
    engine: AwsDirectEngine, database: DatabaseSpec
) -> None:
    plan = await engine.plan(database, issue=ISSUE)

    assert {change.action for change in plan.changes} == {"none"}


async def test_only_the_approved_bytes_are_applied(engine: AwsDirectEngine, spec: DatabaseSpec) -> None:
    plan = await engine.plan(spec, issue=ISSUE)
    smaller = await engine.plan(spec.model_copy(update={"storage_gb": 50}), issue=ISSUE)

    with pytest.raises(PermanentError, match="approved was"):
        await engine.apply(smaller, approved_digest=plan.digest, issue=ISSUE)
    assert await engine.describe_database(spec.identifier) is None


async def test_a_plan_is_not_applied_for_another_issue(engine: AwsDirectEngine, spec: DatabaseSpec) -> None:
    plan = await engine.plan(spec, issue=ISSUE)

    with pytest.raises(PermanentError, match="made for PROJ-140, not for PROJ-141"):
        await engine.apply(plan, approved_digest=plan.digest, issue="PROJ-141")


async def test_a_manual_change_after_planning_makes_the_plan_stale(
    aws: Aws, engine: AwsDirectEngine, database: DatabaseSpec
) -> None:
    plan = await engine.plan(database.model_copy(update={"storage_gb": 200}), issue=ISSUE)
    await modify(aws, database.identifier, BackupRetentionPeriod=1)

    with pytest.raises(PlanStaleError) as caught:
        await engine.apply(plan, approved_digest=plan.digest, issue=ISSUE)

    assert caught.value.diff == ("aws_db_instance.production.backupRetentionDays: planned from '7', now '1'",)
    found = await engine.describe_database(database.identifier)
    assert found is not None
    assert found.storage_gb == 100


async def test_drift_is_planned_back_and_repaired(aws: Aws, engine: AwsDirectEngine, database: DatabaseSpec) -> None:
    await modify(aws, database.identifier, PubliclyAccessible=True, DBInstanceClass="db.t3.large")

    failed = {check.id for check in await engine.verify(database) if check.verdict is CheckVerdict.FAIL}
    plan = await engine.plan(database, issue=ISSUE)
    repaired = await applied(engine, plan)

    assert failed == {"instanceClass", "publiclyAccessible", "private"}
    assert [change.address for change in plan.changes if change.action == "update"] == ["aws_db_instance.production"]
    assert repaired["aws_db_instance.production"]["publiclyAccessible"] == "false"


async def test_an_opened_security_group_is_closed_again(
    aws: Aws, engine: AwsDirectEngine, database: DatabaseSpec
) -> None:
    found = await engine.describe_database(database.identifier)
    assert found is not None
    everyone = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    request = {"GroupId": found.security_group_ids[0], "IpPermissions": everyone}
    await aws.ec2.call("authorize_security_group_ingress", request, about="db-sg")

    assert "securityGroup" in {check.id for check in await engine.verify(database) if check.verdict == "fail"}
    closed = await applied(engine, await engine.plan(database, issue=ISSUE))

    assert closed["aws_security_group.db"]["ingress"] == "tcp/5432 from 10.0.0.0/16"


async def test_a_newer_minor_version_is_no_drift(aws: Aws, engine: AwsDirectEngine, database: DatabaseSpec) -> None:
    await modify(aws, database.identifier, EngineVersion="14.12")

    plan = await engine.plan(database, issue=ISSUE)

    assert {change.action for change in plan.changes} == {"none"}


async def test_a_database_of_another_issue_is_left_alone(engine: AwsDirectEngine, database: DatabaseSpec) -> None:
    with pytest.raises(PermanentError, match="managed by interlock for PROJ-140, not for PROJ-141"):
        await engine.plan(database, issue="PROJ-141")


async def test_a_replacement_is_shown_and_refused(engine: AwsDirectEngine, database: DatabaseSpec) -> None:
    plan = await engine.plan(database.model_copy(update={"database_name": "other"}), issue=ISSUE)

    assert "aws_db_instance.production" in plan.findings[-1]
    with pytest.raises(PermanentError, match="would replace"):
        await engine.apply(plan, approved_digest=plan.digest, issue=ISSUE)


async def test_a_missing_network_is_named(engine: AwsDirectEngine, spec: DatabaseSpec) -> None:
    with pytest.raises(PermanentError, match="0 VPCs are named 'lab-vpc'"):
        await engine.plan(spec.model_copy(update={"vpc": "lab-vpc"}), issue=ISSUE)


async def test_another_region_is_refused(engine: AwsDirectEngine, spec: DatabaseSpec) -> None:
    with pytest.raises(PermanentError, match="belongs into us-east-1"):
        await engine.plan(spec.model_copy(update={"region": "us-east-1"}), issue=ISSUE)


async def test_subnets_with_a_route_to_the_internet_are_not_used(
    aws: Aws, engine: AwsDirectEngine, spec: DatabaseSpec
) -> None:
    request = {"Filters": [{"Name": "tag:Name", "Values": [spec.vpc]}]}
    vpc = (await aws.ec2.call("describe_vpcs", request, about=spec.vpc))["Vpcs"][0]["VpcId"]
    gateway = (await aws.ec2.call("create_internet_gateway", about=vpc))["InternetGateway"]["InternetGatewayId"]
    await aws.ec2.call("attach_internet_gateway", {"InternetGatewayId": gateway, "VpcId": vpc}, about=vpc)
    inside = {"Filters": [{"Name": "vpc-id", "Values": [vpc]}]}
    table = (await aws.ec2.call("describe_route_tables", inside, about=vpc))["RouteTables"][0]["RouteTableId"]
    route = {"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": gateway}
    await aws.ec2.call("create_route", route, about=vpc)

    with pytest.raises(PermanentError, match="private subnets in 0 availability zone"):
        await engine.plan(spec, issue=ISSUE)


async def test_mysql_forces_tls_by_its_own_parameter(engine: AwsDirectEngine, spec: DatabaseSpec) -> None:
    changes = {"engine": DatabaseEngine.MYSQL, "engine_version": "8.0", "identifier": "prod-db-mysql"}
    mysql = spec.model_copy(update=changes)

    resources = await applied(engine, await engine.plan(mysql, issue=ISSUE))

    assert resources["aws_db_parameter_group.tls"]["family"] == "mysql8.0"
    assert resources["aws_db_parameter_group.tls"]["require_secure_transport"] == "ON"
    assert resources["aws_security_group.db"]["ingress"] == "tcp/3306 from 10.0.0.0/16"


async def test_a_database_without_encryption_is_visible_as_such(engine: AwsDirectEngine, spec: DatabaseSpec) -> None:
    changes = {"encryption_at_rest": False, "encryption_in_transit": False, "environment": Environment.STAGING}
    plain = spec.model_copy(update=changes | {"vpc": "staging-vpc", "identifier": "staging-db"})

    resources = await applied(engine, await engine.plan(plain, issue=ISSUE))

    assert "aws_kms_key.rds" not in resources
    assert resources["aws_db_instance.staging"]["encryptedBy"] == "none"
    assert resources["aws_db_parameter_group.tls"]["rds.force_ssl"] == "0"


async def test_the_password_stays_inside_the_secret(aws: Aws, engine: AwsDirectEngine, spec: DatabaseSpec) -> None:
    plan = await engine.plan(spec, issue=ISSUE)
    resources = await applied(engine, plan)
    later = await engine.plan(spec, issue=ISSUE)
    credentials = await SecretStore(aws).read(spec.secret_name)
    assert credentials is not None
    password = credentials.password.get_secret_value()

    shown = [plan, later, resources, credentials, await engine.verify(spec), await engine.raw_resources(spec)]

    assert len(password) == 40
    assert all(password not in repr(one) and password not in str(one) for one in shown)
    assert password.encode() not in plan.document + later.document


async def test_the_secret_names_the_endpoint_once_the_database_exists(
    aws: Aws, engine: AwsDirectEngine, database: DatabaseSpec
) -> None:
    instance = await engine.describe_database(database.identifier)
    credentials = await SecretStore(aws).read(database.secret_name)

    assert instance is not None
    assert credentials is not None
    assert (credentials.host, credentials.port) == (instance.endpoint, instance.port)
