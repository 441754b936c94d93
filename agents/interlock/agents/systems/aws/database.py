"""What Amazon RDS says about a database instance; it changes nothing."""

from __future__ import annotations

__all__ = ["DatabaseInstance", "describe_database", "describe_raw"]

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from interlock.agents.systems.aws.service import Document
from interlock.agents.systems.aws.session import Aws

# Statuses from which no waiting helps (Amazon RDS User Guide, "Viewing DB instance status").
_BROKEN = frozenset(
    {
        "deleting",
        "failed",
        "inaccessible-encryption-credentials",
        "incompatible-credentials",
        "incompatible-network",
        "incompatible-option-group",
        "incompatible-parameters",
        "incompatible-restore",
        "insufficient-capacity",
        "restore-error",
        "storage-full",
    }
)
# Usable, with routine work going on.
_SERVING = frozenset({"available", "backing-up", "configuring-enhanced-monitoring", "storage-optimization"})


@dataclass(frozen=True, slots=True)
class DatabaseInstance:
    """One RDS instance as `DescribeDBInstances` reports it."""

    identifier: str
    arn: str
    status: str
    endpoint: str | None
    """Host name; None while the instance is being created."""
    port: int | None
    engine: str
    engine_version: str
    instance_class: str
    storage_gb: int
    storage_type: str
    iops: int | None
    multi_az: bool
    backup_retention_days: int
    backup_window: str
    maintenance_window: str
    encrypted: bool
    kms_key: str | None
    """ARN or id of the key."""
    publicly_accessible: bool
    deletion_protection: bool
    copies_tags_to_snapshots: bool
    auto_minor_upgrades: bool
    log_exports: tuple[str, ...]
    vpc_id: str | None
    subnet_group: str | None
    subnet_ids: tuple[str, ...]
    security_group_ids: tuple[str, ...]
    parameter_group: str | None
    parameters_in_sync: bool
    """False while a changed parameter waits for a reboot."""
    database_name: str | None
    username: str
    pending: tuple[str, ...]
    """Names of properties whose change is not yet in force."""
    tags: Mapping[str, str]

    @property
    def serving(self) -> bool:
        """The instance takes connections, and every change that was asked for is in force."""
        return self.status in _SERVING and not self.pending

    @property
    def broken(self) -> bool:
        """The instance will not become available by waiting."""
        return self.status in _BROKEN

    @classmethod
    def of(cls, described: Document) -> Self:
        """Read one member of `DescribeDBInstances`'s answer."""
        endpoint = described.get("Endpoint", {})
        group = described.get("DBSubnetGroup", {})
        parameters: Document = next(iter(described.get("DBParameterGroups", [])), {})
        return cls(
            identifier=described["DBInstanceIdentifier"],
            arn=described["DBInstanceArn"],
            status=described["DBInstanceStatus"],
            endpoint=endpoint.get("Address"),
            port=endpoint.get("Port"),
            engine=described["Engine"],
            engine_version=described["EngineVersion"],
            instance_class=described["DBInstanceClass"],
            storage_gb=described["AllocatedStorage"],
            storage_type=described["StorageType"],
            iops=described.get("Iops"),
            multi_az=described["MultiAZ"],
            backup_retention_days=described["BackupRetentionPeriod"],
            backup_window=described.get("PreferredBackupWindow", ""),
            maintenance_window=described.get("PreferredMaintenanceWindow", ""),
            encrypted=described["StorageEncrypted"],
            kms_key=described.get("KmsKeyId"),
            publicly_accessible=described["PubliclyAccessible"],
            deletion_protection=described["DeletionProtection"],
            copies_tags_to_snapshots=described.get("CopyTagsToSnapshot", False),
            auto_minor_upgrades=described["AutoMinorVersionUpgrade"],
            log_exports=tuple(sorted(described.get("EnabledCloudwatchLogsExports", []))),
            vpc_id=group.get("VpcId"),
            subnet_group=group.get("DBSubnetGroupName"),
            subnet_ids=tuple(sorted(subnet["SubnetIdentifier"] for subnet in group.get("Subnets", []))),
            security_group_ids=tuple(sorted(one["VpcSecurityGroupId"] for one in described["VpcSecurityGroups"])),
            parameter_group=parameters.get("DBParameterGroupName"),
            parameters_in_sync=parameters.get("ParameterApplyStatus", "in-sync") == "in-sync",
            database_name=described.get("DBName"),
            username=described["MasterUsername"],
            pending=tuple(sorted(name for name, value in described.get("PendingModifiedValues", {}).items() if value)),
            tags={tag["Key"]: tag["Value"] for tag in described.get("TagList", [])},
        )


async def describe_raw(aws: Aws, identifier: str) -> Document | None:
    """Return what `DescribeDBInstances` answers about one instance, None when there is none."""
    answer = await aws.rds.find(
        "describe_db_instances",
        {"DBInstanceIdentifier": identifier},
        about=identifier,
        absent="DBInstanceNotFound",
    )
    return answer["DBInstances"][0] if answer else None


async def describe_database(aws: Aws, identifier: str) -> DatabaseInstance | None:
    """Return the instance with this identifier, None when there is none.

    Raises TransientError when AWS cannot be read.
    """
    described = await describe_raw(aws, identifier)
    return DatabaseInstance.of(described) if described else None
