"""The checklist's security lines, read from real resources: each weakness turns exactly its line red."""

from __future__ import annotations

import json

import pytest

from interlock.agents.systems.aws import Aws, SecretStore, inspect
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.values import CheckVerdict

LINES = ["K1", "K2", "K3", "K4", "K5", "K6", "K7", "K8", "K9", "K14"]


async def failing(aws: Aws, spec: DatabaseSpec) -> list[str]:
    return [check.id for check in await inspect(aws, spec) if check.verdict is not CheckVerdict.PASS]


async def test_a_database_as_specified_passes_every_line(aws: Aws, database: DatabaseSpec) -> None:
    checks = await inspect(aws, database)

    assert [check.id for check in checks] == LINES
    assert await failing(aws, database) == []


async def test_without_a_database_every_line_is_unknown(aws: Aws, spec: DatabaseSpec) -> None:
    assert {check.verdict for check in await inspect(aws, spec)} == {CheckVerdict.UNKNOWN}


@pytest.mark.parametrize(
    ("weakness", "lines"),
    [
        ({"PubliclyAccessible": True}, ["K1"]),
        ({"MultiAZ": False}, ["K9"]),
        ({"BackupRetentionPeriod": 1}, ["K14"]),
        ({"BackupRetentionPeriod": 0}, ["K14"]),
    ],
)
async def test_a_weakened_instance_fails_its_line(
    aws: Aws, database: DatabaseSpec, weakness: dict[str, object], lines: list[str]
) -> None:
    request = {"DBInstanceIdentifier": database.identifier, "ApplyImmediately": True} | weakness
    await aws.rds.call("modify_db_instance", request, about=database.identifier)

    assert await failing(aws, database) == lines


async def test_a_security_group_open_to_everyone_fails_least_privilege(aws: Aws, database: DatabaseSpec) -> None:
    groups = await aws.ec2.listed(
        "describe_security_groups",
        "SecurityGroups",
        {"Filters": [{"Name": "group-name", "Values": ["db-sg"]}]},
        about="sg",
    )
    rule = {"IpProtocol": "tcp", "FromPort": 5432, "ToPort": 5432, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}
    request = {"GroupId": groups[0]["GroupId"], "IpPermissions": [rule]}
    await aws.ec2.call("authorize_security_group_ingress", request, about="sg")

    assert await failing(aws, database) == ["K2"]


async def test_a_secret_that_everybody_may_read_fails_access(aws: Aws, database: DatabaseSpec) -> None:
    statement = {"Effect": "Allow", "Principal": "*", "Action": "secretsmanager:GetSecretValue", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    request = {"SecretId": database.secret_name, "ResourcePolicy": policy}
    await aws.secretsmanager.call("put_resource_policy", request, about=database.secret_name)

    assert await failing(aws, database) == ["K3"]


async def test_an_application_role_that_is_gone_leaves_access_unknown(aws: Aws, database: DatabaseSpec) -> None:
    await aws.iam.call("delete_role", {"RoleName": "app-role"}, about="app-role")

    checks = {check.id: check for check in await inspect(aws, database)}

    assert checks["K3"].verdict is CheckVerdict.UNKNOWN
    assert "app-role" in checks["K3"].evidence


async def test_a_key_without_rotation_fails_encryption_at_rest(aws: Aws, database: DatabaseSpec) -> None:
    key = (await aws.kms.call("describe_key", {"KeyId": "alias/rds-key"}, about="key"))["KeyMetadata"]["KeyId"]
    await aws.kms.call("disable_key_rotation", {"KeyId": key}, about="key")

    assert await failing(aws, database) == ["K4"]


async def test_a_parameter_that_allows_plain_connections_fails_encryption_in_transit(
    aws: Aws, database: DatabaseSpec
) -> None:
    parameter = {"ParameterName": "rds.force_ssl", "ParameterValue": "0", "ApplyMethod": "immediate"}
    request = {"DBParameterGroupName": "prod-db-postgresql-postgres14", "Parameters": [parameter]}
    await aws.rds.call("modify_db_parameter_group", request, about="parameters")

    assert await failing(aws, database) == ["K5"]


async def test_a_password_that_also_stands_in_a_tag_fails_without_being_shown(aws: Aws, database: DatabaseSpec) -> None:
    credentials = await SecretStore(aws).read(database.secret_name)
    assert credentials is not None
    password = credentials.password.get_secret_value()
    request = {"SecretId": database.secret_name, "Tags": [{"Key": "note", "Value": password}]}
    await aws.secretsmanager.call("tag_resource", request, about=database.secret_name)

    checks = {check.id: check for check in await inspect(aws, database)}

    assert checks["K6"].verdict is CheckVerdict.FAIL
    assert password not in repr(checks)


async def test_a_network_acl_that_admits_everyone_fails(aws: Aws, database: DatabaseSpec) -> None:
    acls = await aws.ec2.listed(
        "describe_network_acls",
        "NetworkAcls",
        {"Filters": [{"Name": "tag:Name", "Values": ["prod-vpc-private"]}]},
        about="acl",
    )
    entry = {
        "NetworkAclId": acls[0]["NetworkAclId"],
        "RuleNumber": 50,
        "Protocol": "-1",
        "RuleAction": "allow",
        "Egress": False,
        "CidrBlock": "0.0.0.0/0",
    }
    await aws.ec2.call("create_network_acl_entry", entry, about="acl")

    assert await failing(aws, database) == ["K8"]
