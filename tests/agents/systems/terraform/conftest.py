"""The real Terraform program, and the database of the specification."""

from __future__ import annotations

import pytest

from interlock.agents.systems.terraform import Terraform
from interlock.protocol.infrastructure import DatabaseSpec


@pytest.fixture
def terraform() -> Terraform:
    client = Terraform(deadline=20, apply_deadline=20, grace=2)
    if not client.available():
        pytest.skip("install Terraform 1.11 or newer and put it on the PATH: these tests run the real program")
    return client


@pytest.fixture
def spec() -> DatabaseSpec:
    return DatabaseSpec.model_validate(
        {
            "engine": "postgres",
            "engineVersion": "14.7",
            "instanceClass": "db.t3.medium",
            "storageGb": 100,
            "storageType": "gp3",
            "multiAz": True,
            "backupRetentionDays": 7,
            "encryptionAtRest": True,
            "encryptionInTransit": True,
            "publiclyAccessible": False,
            "environment": "production",
            "region": "ap-northeast-2",
            "vpc": "prod-vpc",
            "securityGroup": "db-sg",
            "identifier": "prod-db-postgresql",
        }
    )
