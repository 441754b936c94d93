"""The database in Terraform: the instance, its parameters and its key; it knows no alarm."""

from __future__ import annotations

__all__ = ["MASTER_USER", "MAX_CONNECTIONS", "database_blocks", "engine_release"]

from collections.abc import Mapping

from interlock.agents.systems.terraform.hcl import Block, Expression, Reference, Template
from interlock.agents.systems.terraform.network import subnet_tier
from interlock.protocol.errors import PermanentError
from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec, StorageType
from interlock.protocol.values import Environment

MAX_CONNECTIONS = 100
"""What the server allows at once. Pinned, so that the alarm below it can fire whatever the instance's memory is."""

MASTER_USER = "app_admin"

_IOPS_PER_GB = 3
_MINIMUM_IOPS = 1000
_LOG_EXPORTS = {
    DatabaseEngine.POSTGRES: ("postgresql", "upgrade"),
    DatabaseEngine.MYSQL: ("error", "slowquery"),
    DatabaseEngine.MARIADB: ("error", "slowquery"),
}


def engine_release(spec: DatabaseSpec) -> str:
    """Return the major version that is pinned: `14` of PostgreSQL 14.7, `8.0` of MySQL 8.0.36.

    Minor upgrades follow the maintenance window; pinning one would make Terraform plan a downgrade after each.
    Raises PermanentError when the ticket does not name the whole major version, which has two parts but for PostgreSQL.
    """
    parts = spec.engine_version.split(".")
    length = 1 if spec.engine is DatabaseEngine.POSTGRES else 2
    if len(parts) < length:
        raise PermanentError(
            f"{spec.engine.label} {spec.engine_version} is not a whole major version for {spec.identifier}; "
            f"say which release is wanted, e.g. {spec.engine_version}.0"
        )
    return ".".join(parts[:length])


def database_blocks(spec: DatabaseSpec, tags: Mapping[str, Expression]) -> tuple[Block, ...]:
    """Return the resources of `main.tf`."""
    return (
        _encryption_key_policy(),
        Block(
            "resource",
            "aws_kms_key",
            "rds",
            attributes={
                "description": f"Encrypts {spec.identifier}, its credentials and its alerts",
                "enable_key_rotation": True,
                "deletion_window_in_days": 30,
                "policy": Reference("data.aws_iam_policy_document.rds_key.json"),
                "tags": tags,
            },
        ),
        Block(
            "resource",
            "aws_kms_alias",
            "rds",
            attributes={
                "name": f"alias/{spec.identifier}-rds-key",
                "target_key_id": Reference("aws_kms_key.rds.key_id"),
            },
        ),
        _parameter_group(spec, tags),
        # A new id whenever the instance is replaced: its final snapshot never meets an older one's name.
        Block(
            "resource",
            "terraform_data",
            "final_snapshot",
            attributes={
                "triggers_replace": [spec.engine.value, spec.database_name, MASTER_USER, spec.encryption_at_rest]
            },
        ),
        _instance(spec, tags),
    )


def _encryption_key_policy() -> Block:
    anywhere: tuple[str, ...] = ("*",)
    account = Template("arn:aws:iam::", Reference("data.aws_caller_identity.current.account_id"), ":root")
    return Block(
        "data",
        "aws_iam_policy_document",
        "rds_key",
        blocks=(
            Block(
                "statement",
                attributes={"sid": "AccountAdministers", "actions": ["kms:*"], "resources": anywhere},
                blocks=(Block("principals", attributes={"type": "AWS", "identifiers": [account]}),),
            ),
            Block(
                "statement",
                attributes={
                    "sid": "AlarmsPublish",
                    "actions": ["kms:Decrypt", "kms:GenerateDataKey*"],
                    "resources": anywhere,
                },
                blocks=(
                    Block("principals", attributes={"type": "Service", "identifiers": ["cloudwatch.amazonaws.com"]}),
                ),
            ),
        ),
    )


def _parameter_group(spec: DatabaseSpec, tags: Mapping[str, Expression]) -> Block:
    required = "1" if spec.encryption_in_transit else "0"
    parameters: dict[str, str] = {"max_connections": str(MAX_CONNECTIONS)}
    if spec.engine is DatabaseEngine.POSTGRES:
        parameters["rds.force_ssl"] = required
    else:
        parameters |= {"require_secure_transport": required, "log_output": "FILE", "slow_query_log": "1"}
    return Block(
        "resource",
        "aws_db_parameter_group",
        spec.environment.value,
        attributes={
            "name_prefix": f"{spec.identifier}-",
            "family": f"{spec.engine.value}{engine_release(spec)}",
            "tags": tags,
        },
        blocks=(
            # At creation both apply methods take effect; later a restart decides, as static parameters need one.
            *(
                Block("parameter", attributes={"name": name, "value": value, "apply_method": "pending-reboot"})
                for name, value in sorted(parameters.items())
            ),
            Block("lifecycle", attributes={"create_before_destroy": True}),
        ),
    )


def _instance(spec: DatabaseSpec, tags: Mapping[str, Expression]) -> Block:
    production = spec.environment is Environment.PRODUCTION
    kept = spec.environment in {Environment.STAGING, Environment.PRODUCTION}
    attributes: dict[str, Expression] = {
        "identifier": spec.identifier,
        "engine": spec.engine.value,
        "engine_version": engine_release(spec),
        "auto_minor_version_upgrade": True,
        "allow_major_version_upgrade": False,
        "instance_class": spec.instance_class,
        **_storage(spec),
        "db_name": spec.database_name,
        "port": spec.port,
        "username": MASTER_USER,
        "password_wo": Reference("local.credentials.password"),
        "password_wo_version": Reference("aws_secretsmanager_secret_version.credentials.secret_string_wo_version"),
        "multi_az": spec.multi_az,
        "publicly_accessible": spec.publicly_accessible,
        "db_subnet_group_name": Reference(f"aws_db_subnet_group.{subnet_tier(spec)}.name"),
        "vpc_security_group_ids": [Reference("aws_security_group.db.id")],
        "parameter_group_name": Reference(f"aws_db_parameter_group.{spec.environment.value}.name"),
        "backup_retention_period": spec.backup_retention_days,
        "backup_window": "03:00-04:00",
        "maintenance_window": "mon:04:00-mon:05:00",
        "copy_tags_to_snapshot": True,
        "deletion_protection": production,
        "skip_final_snapshot": not kept,
        "final_snapshot_identifier": Template(
            f"{spec.identifier}-final-", Reference("terraform_data.final_snapshot.id")
        ),
        "apply_immediately": not production,
        "enabled_cloudwatch_logs_exports": _LOG_EXPORTS[spec.engine],
        "tags": tags,
    }
    blocks = (Block("lifecycle", attributes={"prevent_destroy": True}),) if production else ()
    return Block("resource", "aws_db_instance", spec.environment.value, attributes=attributes, blocks=blocks)


def _storage(spec: DatabaseSpec) -> dict[str, Expression]:
    storage: dict[str, Expression] = {
        "allocated_storage": spec.storage_gb,
        "storage_type": spec.storage_type.value,
        "storage_encrypted": spec.encryption_at_rest,
    }
    if spec.storage_type in {StorageType.IO1, StorageType.IO2}:
        # RDS insists on a number for these types; this is the baseline that gp3 gives without one.
        storage["iops"] = max(_MINIMUM_IOPS, _IOPS_PER_GB * spec.storage_gb)
    if spec.encryption_at_rest:
        storage["kms_key_id"] = Reference("aws_kms_key.rds.arn")
    return storage
