"""A plan is judged line by line: each weakness fails its line, and what a plan cannot show is unknown."""

from __future__ import annotations

import pytest

from interlock.agents.security.review import review_plan
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.messages.provisioning import PropertyChange, ResourceChange
from interlock.protocol.values import CheckVerdict

DIRECT = {
    "aws_kms_key.rds": {"rotation": "true"},
    "aws_db_subnet_group.private": {"subnets": "10.0.1.0/24@ap-northeast-2a, 10.0.2.0/24@ap-northeast-2b"},
    "aws_security_group.db": {"ingress": "tcp/5432 from 10.0.0.0/16"},
    "aws_db_parameter_group.tls": {"rds.force_ssl": "1"},
    "aws_secretsmanager_secret.database": {"readableBy": "app-role"},
    "aws_db_instance.production": {"multiAz": "true", "publiclyAccessible": "false", "backupRetentionDays": "7"},
}
TERRAFORM = {
    "aws_kms_key.rds": {"enable_key_rotation": "true"},
    "aws_db_subnet_group.private": {"name": "prod-db"},
    "aws_vpc_security_group_ingress_rule.db": {"cidr_ipv4": "10.0.0.0/16"},
    "aws_db_parameter_group.db": {"parameter": '[{"name": "rds.force_ssl", "value": "1"}]'},
    "aws_db_instance.production": {
        "manage_master_user_password": "true",
        "multi_az": "true",
        "publicly_accessible": "false",
        "storage_encrypted": "true",
    },
}


def planned(resources: dict[str, dict[str, str]]) -> list[ResourceChange]:
    return [
        ResourceChange(
            address=address,
            action="create",
            properties=tuple(PropertyChange(name=name, after=value) for name, value in properties.items()),
        )
        for address, properties in resources.items()
    ]


def lines(spec: DatabaseSpec, changes: list[ResourceChange], verdict: CheckVerdict) -> list[str]:
    return [check.id for check in review_plan(spec, changes) if check.verdict is verdict]


def test_a_sound_plan_of_the_direct_engine_fails_nothing(spec: DatabaseSpec) -> None:
    assert lines(spec, planned(DIRECT), CheckVerdict.FAIL) == []
    assert lines(spec, planned(DIRECT), CheckVerdict.UNKNOWN) == ["K8"]


def test_a_sound_terraform_plan_fails_nothing(spec: DatabaseSpec) -> None:
    assert lines(spec, planned(TERRAFORM), CheckVerdict.FAIL) == []
    assert lines(spec, planned(TERRAFORM), CheckVerdict.UNKNOWN) == ["K3", "K8"]


@pytest.mark.parametrize(
    ("weakness", "line"),
    [
        ({"publicly_accessible": True}, "K1"),
        ({"encryption_at_rest": False}, "K4"),
        ({"encryption_in_transit": False}, "K5"),
        ({"vpc": "default"}, "K7"),
        ({"multi_az": False}, "K9"),
        ({"backup_retention_days": 6}, "K14"),
        ({"backup_retention_days": 0}, "K14"),
    ],
)
def test_a_weak_specification_fails_its_line_in_production(
    spec: DatabaseSpec, weakness: dict[str, object], line: str
) -> None:
    assert lines(spec.model_copy(update=weakness), planned(DIRECT), CheckVerdict.FAIL) == [line]


@pytest.mark.parametrize(
    ("address", "weakness", "line"),
    [
        ("aws_db_instance.production", {"publiclyAccessible": "true"}, "K1"),
        ("aws_db_instance.production", {"publicly_accessible": "true"}, "K1"),
        ("aws_security_group.db", {"ingress": "tcp/5432 from 0.0.0.0/0"}, "K2"),
        ("aws_security_group_rule.db", {"cidr_blocks": '["0.0.0.0/0"]'}, "K2"),
        ("aws_vpc_security_group_ingress_rule.db", {"cidr_ipv6": "::/0"}, "K2"),
        ("aws_secretsmanager_secret.database", {"readableBy": "other"}, "K3"),
        ("aws_db_instance.production", {"storage_encrypted": "false"}, "K4"),
        ("aws_db_instance.production", {"encryptedBy": "none"}, "K4"),
        ("aws_db_parameter_group.tls", {"rds.force_ssl": "0"}, "K5"),
        ("aws_db_instance.production", {"password": "hunter2"}, "K6"),
        ("aws_db_instance.production", {"multi_az": "false"}, "K9"),
        ("aws_db_instance.production", {"backup_retention_period": "1"}, "K14"),
    ],
)
def test_a_plan_that_is_weaker_than_its_specification_fails(
    spec: DatabaseSpec, address: str, weakness: dict[str, str], line: str
) -> None:
    assert lines(spec, planned(DIRECT | {address: weakness}), CheckVerdict.FAIL) == [line]


def test_the_evidence_against_a_password_in_the_plan_does_not_repeat_it(spec: DatabaseSpec) -> None:
    changes = planned(DIRECT | {"aws_db_instance.production": {"password": "hunter2"}})

    assert "hunter2" not in repr(review_plan(spec, changes))


def test_one_zone_and_one_day_of_backups_do_for_the_test_environment(spec: DatabaseSpec) -> None:
    rehearsal = spec.rehearsal().model_copy(update={"multi_az": False, "backup_retention_days": 1})
    resources = {name: value for name, value in DIRECT.items() if name != "aws_db_instance.production"}

    assert lines(rehearsal, planned(resources), CheckVerdict.FAIL) == []


@pytest.mark.parametrize("action", ["destroy", "replace"])
def test_a_plan_that_loses_something_fails(spec: DatabaseSpec, action: str) -> None:
    lost = ResourceChange.model_validate({"address": "aws_db_instance.old", "action": action})

    assert lines(spec, [*planned(DIRECT), lost], CheckVerdict.FAIL) == ["destructive"]


def test_an_empty_plan_proves_nothing(spec: DatabaseSpec) -> None:
    unproven = lines(spec, [], CheckVerdict.UNKNOWN)

    assert unproven == ["K1", "K2", "K3", "K4", "K5", "K8"]
