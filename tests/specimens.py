"""The database of the specification's ticket, PROJ-140, as every package's tests know it."""

from __future__ import annotations

from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec, StorageType
from interlock.protocol.values import Environment

PROJ_140 = DatabaseSpec(
    engine=DatabaseEngine.POSTGRES,
    engine_version="14",
    instance_class="db.t3.medium",
    storage_gb=100,
    storage_type=StorageType.GP3,
    multi_az=True,
    backup_retention_days=7,
    encryption_at_rest=True,
    encryption_in_transit=True,
    publicly_accessible=False,
    environment=Environment.PRODUCTION,
    region="ap-northeast-2",
    vpc="prod-vpc",
    security_group="db-sg",
    identifier="prod-db-postgresql",
    database_name="app_db",
)
