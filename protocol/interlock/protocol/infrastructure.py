"""The typed specification of a relational database: what a ticket becomes, and what engines apply."""

from __future__ import annotations

__all__ = ["Budget", "DatabaseEngine", "DatabaseSpec", "StorageType", "Timeline"]

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from interlock.protocol.shapes import DATABASE_NAME, ENGINE_VERSION, INSTANCE_CLASS, LABEL, REGION
from interlock.protocol.values import Amount, Currency, Environment, Identifier, Value


class DatabaseEngine(StrEnum):
    """Engines by their AWS names (`CreateDBInstance`, parameter `Engine`)."""

    POSTGRES = "postgres"
    MYSQL = "mysql"
    MARIADB = "mariadb"

    @property
    def label(self) -> str:
        """The name for people, as in `RDS PostgreSQL`."""
        return {"postgres": "PostgreSQL", "mysql": "MySQL", "mariadb": "MariaDB"}[self.value]

    @property
    def slug(self) -> str:
        """The name in identifiers, as in `prod-db-postgresql`."""
        return self.label.lower()

    @property
    def default_port(self) -> int:
        """The engine's registered port."""
        return 5432 if self is DatabaseEngine.POSTGRES else 3306


class StorageType(StrEnum):
    """EBS volume types of RDS."""

    GP2 = "gp2"
    GP3 = "gp3"
    IO1 = "io1"
    IO2 = "io2"


DnsLabel = Annotated[str, StringConstraints(pattern=LABEL, max_length=63)]
"""An RDS identifier: lower case, digits and single hyphens, starting with a letter, not ending in a hyphen."""


class DatabaseSpec(Value):
    """One RDS database, complete: every property is decided before anything is planned.

    Limits are those of Amazon RDS (`CreateDBInstance`).
    """

    engine: DatabaseEngine
    engine_version: Annotated[str, StringConstraints(pattern=ENGINE_VERSION)]
    """Major version at least, e.g. `14` or `14.7`; minor upgrades follow the maintenance window."""
    instance_class: Annotated[str, StringConstraints(pattern=INSTANCE_CLASS)]
    storage_gb: Annotated[int, Field(ge=20, le=65_536)]
    storage_type: StorageType
    multi_az: bool
    backup_retention_days: Annotated[int, Field(ge=0, le=35)]
    encryption_at_rest: bool
    encryption_in_transit: bool
    publicly_accessible: bool
    environment: Environment
    region: Annotated[str, StringConstraints(pattern=REGION)]
    vpc: Identifier
    security_group: Identifier
    identifier: DnsLabel
    database_name: Annotated[str, StringConstraints(pattern=DATABASE_NAME)] = "app_db"

    @model_validator(mode="after")
    def _gp3_minimum(self) -> DatabaseSpec:
        if self.storage_type in {StorageType.IO1, StorageType.IO2} and self.storage_gb < 100:
            raise ValueError(f"{self.storage_type} needs at least 100 GB")
        return self

    @property
    def is_production(self) -> bool:
        """Whether people have to approve what is done to it."""
        return self.environment is Environment.PRODUCTION

    @property
    def has_default_name(self) -> bool:
        """Whether the ticket gave it no identifier of its own: it is its environment's one database of this engine."""
        return self.identifier == f"{self.environment.prefix}-db-{self.engine.slug}"

    @property
    def secret_name(self) -> str:
        """The secret that holds the credentials, e.g. `prod/database/credentials`."""
        middle = "database" if self.has_default_name else self.identifier
        return f"{self.environment.prefix}/{middle}/credentials"

    @property
    def port(self) -> int:
        """The port on which the engine listens."""
        return self.engine.default_port

    def rehearsal(self) -> DatabaseSpec:
        """Return the same database for the test environment, under a name of its own."""
        prefix, test = self.environment.prefix, Environment.TEST.prefix
        bare = self.identifier.removeprefix(f"{prefix}-")
        return self.model_copy(
            update={
                "environment": Environment.TEST,
                "identifier": f"{test}-{bare}",
                "vpc": f"{test}-{self.vpc.removeprefix(f'{prefix}-')}",
                "security_group": f"{test}-{self.security_group.removeprefix(f'{prefix}-')}",
            }
        )


class Budget(Value):
    """What the ticket allows per month."""

    monthly: Amount
    currency: Currency = "USD"


class Timeline(Value):
    """Hours that the ticket plans for each phase."""

    development_hours: float | None = None
    testing_hours: float | None = None
    deployment_hours: float | None = None
