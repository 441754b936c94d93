"""A database specification as the files of a Terraform root module; it runs nothing."""

from __future__ import annotations

__all__ = ["render"]

from collections.abc import Mapping

from interlock.agents.systems.terraform.credentials import credentials_blocks
from interlock.agents.systems.terraform.database import database_blocks
from interlock.agents.systems.terraform.hcl import Block, Expression, Reference, write
from interlock.agents.systems.terraform.monitoring import monitoring_blocks
from interlock.agents.systems.terraform.network import network_blocks
from interlock.protocol.infrastructure import DatabaseSpec

_TERRAFORM_VERSION = ">= 1.11.0, < 2.0.0"
_PROVIDER_VERSION = "~> 5.100"


def render(spec: DatabaseSpec, *, issue: str, state_bucket: str = "terraform-state") -> Mapping[str, str]:
    """Return the code by file name, as `terraform fmt` writes it; the same arguments give the same bytes.

    Terraform 1.11 is the first with write-only arguments, which keep the password out of the state, and with locks in
    S3 itself. Raises PermanentError when the engine's version is not a whole major version.
    """
    tags: dict[str, Expression] = {
        "Environment": spec.environment.value,
        "ManagedBy": "terraform",
        "JiraIssue": issue,
    }
    return {
        "backend.tf": write(_backend(spec, state_bucket)),
        "credentials.tf": write(*credentials_blocks(spec, tags)),
        "main.tf": write(*database_blocks(spec, tags)),
        "monitoring.tf": write(*monitoring_blocks(spec, tags)),
        "network.tf": write(*network_blocks(spec, tags)),
        "outputs.tf": write(*_outputs(spec)),
        "variables.tf": write(_credentials_version()),
        "versions.tf": write(_versions(), Block("provider", "aws", attributes={"region": spec.region})),
    }


def _backend(spec: DatabaseSpec, bucket: str) -> Block:
    folder = spec.secret_name.removesuffix("/credentials").removesuffix("/database")
    return Block(
        "terraform",
        blocks=(
            Block(
                "backend",
                "s3",
                attributes={
                    "bucket": bucket,
                    "key": f"{folder}/rds.tfstate",
                    "region": spec.region,
                    "encrypt": True,
                    "use_lockfile": True,
                },
            ),
        ),
    )


def _versions() -> Block:
    provider: Mapping[str, Expression] = {"source": "hashicorp/aws", "version": _PROVIDER_VERSION}
    return Block(
        "terraform",
        attributes={"required_version": _TERRAFORM_VERSION},
        blocks=(Block("required_providers", attributes={"aws": provider}),),
    )


def _credentials_version() -> Block:
    return Block(
        "variable",
        "credentials_version",
        attributes={
            "description": "Raise it by one to give the database a new master password",
            "type": Reference("number"),
            "default": 1,
            "nullable": False,
        },
    )


def _outputs(spec: DatabaseSpec) -> tuple[Block, ...]:
    instance = f"aws_db_instance.{spec.environment.value}"
    values = {
        "endpoint": ("The host name of the database", f"{instance}.address"),
        "port": ("The port of the database", f"{instance}.port"),
        "database": ("The name of the database in the instance", f"{instance}.db_name"),
        "identifier": ("The instance's identifier", f"{instance}.identifier"),
        "arn": ("The instance's ARN", f"{instance}.arn"),
        "secret_name": ("The secret that holds the credentials", "aws_secretsmanager_secret.credentials.name"),
        "security_group_id": ("The security group of the database", "aws_security_group.db.id"),
        "kms_key_arn": ("The key that encrypts the database", "aws_kms_key.rds.arn"),
        "alerts_topic_arn": ("Where the alarms publish", "aws_sns_topic.alerts.arn"),
        "read_credentials_policy_arn": ("Lets a role read the credentials", "aws_iam_policy.read_credentials.arn"),
    }
    return tuple(
        Block("output", name, attributes={"description": description, "value": Reference(address)})
        for name, (description, address) in values.items()
    )
