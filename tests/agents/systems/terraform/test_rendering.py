"""The code satisfies the ticket line by line, and fixes what the specification's example forgot."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import hcl2
import pytest

from interlock.agents.systems.terraform import Terraform, render
from interlock.protocol.errors import PermanentError
from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec, StorageType

RELEASES = {DatabaseEngine.POSTGRES: "14.7", DatabaseEngine.MYSQL: "8.0.36", DatabaseEngine.MARIADB: "10.11"}


def of_engine(spec: DatabaseSpec, engine: DatabaseEngine) -> DatabaseSpec:
    return spec.model_copy(update={"engine": engine, "engine_version": RELEASES[engine]})


def parsed(spec: DatabaseSpec) -> dict[str, dict[str, Any]]:
    """Every resource by its address, as python-hcl2 reads it, without the quotes it keeps."""
    text = "\n".join(render(spec, issue="PROJ-140").values())
    found: dict[str, dict[str, Any]] = {}
    for block in hcl2.load(io.StringIO(text))["resource"]:
        for kind, named in block.items():
            for name, body in named.items():
                found[f"{_bare(kind)}.{_bare(name)}"] = _bare(body)
    return found


def _bare(value: Any) -> Any:
    if isinstance(value, dict):
        return {_bare(key): _bare(inner) for key, inner in value.items() if key != "__is_block__"}
    if isinstance(value, list):
        return [_bare(inner) for inner in value]
    return value.strip('"') if isinstance(value, str) else value


@pytest.mark.parametrize("engine", DatabaseEngine)
async def test_the_code_is_what_terraform_fmt_writes(
    terraform: Terraform, tmp_path: Path, spec: DatabaseSpec, engine: DatabaseEngine
) -> None:
    for file, text in render(of_engine(spec, engine), issue="PROJ-140").items():
        (tmp_path / file).write_text(text)
    assert await terraform.fmt_check(tmp_path) == ()


def test_every_line_of_the_ticket_is_in_the_instance(spec: DatabaseSpec) -> None:
    instance = parsed(spec)["aws_db_instance.production"]
    wanted = {
        "identifier": "prod-db-postgresql",
        "engine": "postgres",
        "engine_version": "14",
        "auto_minor_version_upgrade": True,
        "instance_class": "db.t3.medium",
        "allocated_storage": 100,
        "storage_type": "gp3",
        "storage_encrypted": True,
        "kms_key_id": "${aws_kms_key.rds.arn}",
        "db_name": "app_db",
        "username": "app_admin",
        "multi_az": True,
        "publicly_accessible": False,
        "backup_retention_period": 7,
        "deletion_protection": True,
        "skip_final_snapshot": False,
        "enabled_cloudwatch_logs_exports": ["postgresql", "upgrade"],
        "tags": {"Environment": "production", "ManagedBy": "terraform", "JiraIssue": "PROJ-140"},
    }
    assert {name: instance[name] for name in wanted} == wanted


def test_no_password_enters_the_state(spec: DatabaseSpec) -> None:
    resources = parsed(spec)
    instance = resources["aws_db_instance.production"]
    version = resources["aws_secretsmanager_secret_version.credentials"]
    assert "password" not in instance
    assert instance["password_wo"] == "${local.credentials.password}"
    assert "secret_string" not in version
    assert "secret_string_wo" in version
    assert resources["aws_secretsmanager_secret.credentials"]["name"] == "prod/database/credentials"


@pytest.mark.parametrize(
    ("engine", "parameter", "family"),
    [
        (DatabaseEngine.POSTGRES, "rds.force_ssl", "postgres14"),
        (DatabaseEngine.MYSQL, "require_secure_transport", "mysql8.0"),
        (DatabaseEngine.MARIADB, "require_secure_transport", "mariadb10.11"),
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_encryption_in_transit_is_a_parameter_of_the_server(
    spec: DatabaseSpec, engine: DatabaseEngine, parameter: str, family: str, required: bool
) -> None:
    wanted = of_engine(spec, engine).model_copy(update={"encryption_in_transit": required})
    group = parsed(wanted)["aws_db_parameter_group.production"]
    parameters = {item["name"]: item["value"] for item in group["parameter"]}
    assert group["family"] == family
    assert parameters[parameter] == ("1" if required else "0")


@pytest.mark.parametrize("engine", DatabaseEngine)
@pytest.mark.parametrize("public", [True, False])
@pytest.mark.parametrize("rehearsal", [True, False])
def test_whatever_is_referred_to_is_declared(
    spec: DatabaseSpec, engine: DatabaseEngine, public: bool, rehearsal: bool
) -> None:
    variant = of_engine(spec, engine).model_copy(update={"publicly_accessible": public})
    text = "\n".join(render(variant.rehearsal() if rehearsal else variant, issue="PROJ-140").values())
    declared = {
        f"{'' if mode == 'resource' else f'{mode}.'}{kind}.{name}"
        for mode, kind, name in re.findall(r'^(resource|data|ephemeral) "(\w+)" "(\w+)"', text, flags=re.MULTILINE)
    }
    referred = set(re.findall(r"(?<![\w.\"])((?:data\.|ephemeral\.)?(?:aws_\w+|terraform_data)\.\w+)\.", text))
    assert referred
    assert referred <= declared


def test_only_the_vpc_reaches_the_port(spec: DatabaseSpec) -> None:
    resources = parsed(spec)
    rule = resources["aws_vpc_security_group_ingress_rule.db"]
    assert rule["cidr_ipv4"] == "${data.aws_vpc.selected.cidr_block}"
    assert (rule["ip_protocol"], rule["from_port"], rule["to_port"]) == ("tcp", 5432, 5432)
    assert resources["aws_security_group.db"]["name"] == "db-sg"
    assert not [address for address in resources if "egress" in address]


def test_each_alarm_watches_this_database_and_can_fire(spec: DatabaseSpec) -> None:
    resources = parsed(spec)
    alarms = {address: body for address, body in resources.items() if address.startswith("aws_cloudwatch_metric_alarm")}
    thresholds = {body["metric_name"]: (body["comparison_operator"], body["threshold"]) for body in alarms.values()}
    assert thresholds == {
        "CPUUtilization": ("GreaterThanThreshold", 80),
        "FreeStorageSpace": ("LessThanThreshold", 10 * 1024**3),
        "DatabaseConnections": ("GreaterThanThreshold", 80),
    }
    for body in alarms.values():
        assert body["dimensions"] == {"DBInstanceIdentifier": "${aws_db_instance.production.identifier}"}
        assert body["alarm_actions"] == ["${aws_sns_topic.alerts.arn}"]
    parameters = resources["aws_db_parameter_group.production"]["parameter"]
    assert {"name": "max_connections", "value": "100", "apply_method": "pending-reboot"} in parameters


def test_the_final_snapshot_has_a_new_name_after_each_replacement(spec: DatabaseSpec) -> None:
    resources = parsed(spec)
    name = resources["aws_db_instance.production"]["final_snapshot_identifier"]
    assert name == "prod-db-postgresql-final-${terraform_data.final_snapshot.id}"
    assert "postgres" in resources["terraform_data.final_snapshot"]["triggers_replace"]


def test_the_state_is_locked_encrypted_and_its_own(spec: DatabaseSpec) -> None:
    backend = render(spec, issue="PROJ-140")["backend.tf"]
    assert "use_lockfile = true" in backend
    assert "encrypt      = true" in backend
    assert '"prod/rds.tfstate"' in backend
    second = spec.model_copy(update={"identifier": "prod-orders"})
    assert '"prod/prod-orders/rds.tfstate"' in render(second, issue="PROJ-141")["backend.tf"]


def test_the_rehearsal_is_the_same_database_without_production_safeguards(spec: DatabaseSpec) -> None:
    instance = parsed(spec.rehearsal())["aws_db_instance.test"]
    assert instance["identifier"] == "test-db-postgresql"
    assert instance["deletion_protection"] is False
    assert instance["skip_final_snapshot"] is True
    assert "lifecycle" not in instance


def test_provisioned_storage_gets_the_iops_that_rds_insists_on(spec: DatabaseSpec) -> None:
    assert (
        parsed(spec.model_copy(update={"storage_type": StorageType.IO1}))["aws_db_instance.production"]["iops"] == 1000
    )
    assert "iops" not in parsed(spec)["aws_db_instance.production"]


def test_half_a_major_version_is_sent_back_instead_of_guessed(spec: DatabaseSpec) -> None:
    half = spec.model_copy(update={"engine": DatabaseEngine.MYSQL, "engine_version": "8"})
    with pytest.raises(PermanentError, match="not a whole major version"):
        render(half, issue="PROJ-140")


async def test_values_that_slip_past_validation_still_cannot_become_code(
    terraform: Terraform, tmp_path: Path, spec: DatabaseSpec
) -> None:
    evil = '${file("/etc/passwd")}%{ for x in y }"\n}\nresource "x" "y" {'
    hostile = spec.model_copy(update={"vpc": evil, "security_group": evil, "database_name": evil, "region": evil})
    code = render(hostile, issue=evil)
    for file, text in code.items():
        (tmp_path / file).write_text(text)
    assert await terraform.fmt_check(tmp_path) == ()
    assert set(parsed(hostile)) == set(parsed(spec))
    assert not any("${file" in text or "%{" in text for text in code.values())


def test_the_same_specification_gives_the_same_bytes(spec: DatabaseSpec) -> None:
    assert render(spec, issue="PROJ-140") == render(spec, issue="PROJ-140")
