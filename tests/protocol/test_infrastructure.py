"""A database's specification: its names follow from it, and impossible ones are refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec, StorageType
from interlock.protocol.values import Environment


def spec(**changes: Any) -> DatabaseSpec:
    """Return the specification's own database, with some properties changed."""
    properties: dict[str, Any] = {
        "engine": DatabaseEngine.POSTGRES,
        "engine_version": "14",
        "instance_class": "db.t3.medium",
        "storage_gb": 100,
        "storage_type": StorageType.GP3,
        "multi_az": True,
        "backup_retention_days": 7,
        "encryption_at_rest": True,
        "encryption_in_transit": True,
        "publicly_accessible": False,
        "environment": Environment.PRODUCTION,
        "region": "ap-northeast-2",
        "vpc": "prod-vpc",
        "security_group": "prod-db-sg",
        "identifier": "prod-db-postgresql",
    }
    return DatabaseSpec(**properties | changes)


def test_credentials_of_an_environments_default_database_have_the_specifications_name() -> None:
    assert spec().secret_name == "prod/database/credentials"


def test_a_second_database_has_credentials_of_its_own() -> None:
    assert spec(identifier="prod-orders").secret_name == "prod/prod-orders/credentials"


@pytest.mark.parametrize(
    ("engine", "label", "slug", "port"),
    [
        (DatabaseEngine.POSTGRES, "PostgreSQL", "postgresql", 5432),
        (DatabaseEngine.MYSQL, "MySQL", "mysql", 3306),
        (DatabaseEngine.MARIADB, "MariaDB", "mariadb", 3306),
    ],
)
def test_an_engine_knows_its_names_and_its_port(engine: DatabaseEngine, label: str, slug: str, port: int) -> None:
    assert (engine.label, engine.slug, spec(engine=engine).port) == (label, slug, port)


def test_a_rehearsal_is_the_same_database_under_the_test_environments_names() -> None:
    rehearsal = spec().rehearsal()

    assert rehearsal == spec(
        environment=Environment.TEST, identifier="test-db-postgresql", vpc="test-vpc", security_group="test-db-sg"
    )
    assert DatabaseSpec.model_validate(rehearsal.model_dump()) == rehearsal


@pytest.mark.parametrize("storage_type", [StorageType.IO1, StorageType.IO2])
def test_provisioned_storage_starts_at_100_gigabytes(storage_type: StorageType) -> None:
    assert spec(storage_type=storage_type, storage_gb=100).storage_gb == 100
    with pytest.raises(ValidationError, match=f"{storage_type} needs at least 100 GB"):
        spec(storage_type=storage_type, storage_gb=99)


@pytest.mark.parametrize(
    ("property_", "value"),
    [
        ("storage_gb", 19),
        ("storage_gb", 65_537),
        ("backup_retention_days", 36),
        ("engine", "oracle-ee"),
        ("engine_version", "14; drop"),
        ("instance_class", "t3.medium"),
        ("region", "seoul"),
        ("identifier", "prod--db"),
        ("identifier", "1-db"),
        ("identifier", "prod-db-"),
        ("vpc", "${file('/etc/passwd')}"),
        ("database_name", "app db"),
        ("environment", "prod"),
    ],
)
def test_what_the_provider_would_refuse_is_refused_at_once(property_: str, value: object) -> None:
    with pytest.raises(ValidationError, match=property_):
        spec(**{property_: value})


@pytest.mark.parametrize(
    ("environment", "prefix"),
    [
        (Environment.PRODUCTION, "prod"),
        (Environment.DEVELOPMENT, "dev"),
        (Environment.STAGING, "staging"),
        (Environment.TEST, "test"),
    ],
)
def test_environments_have_short_names_for_resources(environment: Environment, prefix: str) -> None:
    assert environment.prefix == prefix
