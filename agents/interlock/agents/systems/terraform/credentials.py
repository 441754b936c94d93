"""The master password in Terraform, which never enters the state; it knows nothing of the database's other properties.

The value is made by an ephemeral resource, written to the secret through a write-only argument, and read back from
there for the database: whichever run fails half-way, the secret holds the password that the database got.
"""

from __future__ import annotations

__all__ = ["credentials_blocks"]

from collections.abc import Mapping

from interlock.agents.systems.terraform.database import MASTER_USER
from interlock.agents.systems.terraform.hcl import Block, Call, Expression, Reference
from interlock.protocol.infrastructure import DatabaseSpec


def credentials_blocks(spec: DatabaseSpec, tags: Mapping[str, Expression]) -> tuple[Block, ...]:
    """Return the resources of `credentials.tf`.

    The secret's members are those that AWS documents for RDS secrets, without `host`, which is an output.
    """
    return (
        Block(
            "ephemeral",
            "aws_secretsmanager_random_password",
            "master",
            attributes={"password_length": 32, "exclude_punctuation": True},
        ),
        Block(
            "resource",
            "aws_secretsmanager_secret",
            "credentials",
            attributes={
                "name": spec.secret_name,
                "description": f"Credentials of {spec.identifier}",
                "kms_key_id": Reference("aws_kms_key.rds.arn"),
                "tags": tags,
            },
        ),
        Block(
            "resource",
            "aws_secretsmanager_secret_version",
            "credentials",
            attributes={
                "secret_id": Reference("aws_secretsmanager_secret.credentials.id"),
                "secret_string_wo_version": Reference("var.credentials_version"),
                "secret_string_wo": Call(
                    "jsonencode",
                    {
                        "engine": spec.engine.value,
                        "dbInstanceIdentifier": spec.identifier,
                        "dbname": spec.database_name,
                        "port": spec.port,
                        "username": MASTER_USER,
                        "password": Reference("ephemeral.aws_secretsmanager_random_password.master.random_password"),
                    },
                ),
            },
        ),
        Block(
            "ephemeral",
            "aws_secretsmanager_secret_version",
            "credentials",
            attributes={
                "secret_id": Reference("aws_secretsmanager_secret_version.credentials.secret_id"),
                "version_id": Reference("aws_secretsmanager_secret_version.credentials.version_id"),
            },
        ),
        Block(
            "locals",
            attributes={
                "credentials": Reference(
                    "ephemeral.aws_secretsmanager_secret_version.credentials.secret_string", function="jsondecode"
                )
            },
        ),
        Block(
            "data",
            "aws_iam_policy_document",
            "read_credentials",
            blocks=(
                _allow("secretsmanager:GetSecretValue", on="aws_secretsmanager_secret.credentials.arn"),
                _allow("kms:Decrypt", on="aws_kms_key.rds.arn"),
            ),
        ),
        Block(
            "resource",
            "aws_iam_policy",
            "read_credentials",
            attributes={
                "name": f"{spec.identifier}-read-credentials",
                "description": f"Reads the credentials of {spec.identifier} and nothing else",
                "policy": Reference("data.aws_iam_policy_document.read_credentials.json"),
                "tags": tags,
            },
        ),
    )


def _allow(action: str, *, on: str) -> Block:
    return Block("statement", attributes={"actions": [action], "resources": [Reference(on)]})
