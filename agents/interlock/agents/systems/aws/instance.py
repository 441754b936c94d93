"""The RDS instance as a resource of the direct engine; what surrounds it is created before."""

from __future__ import annotations

__all__ = ["Instance"]

from dataclasses import dataclass

from interlock.agents.systems.aws.database import DatabaseInstance, describe_database
from interlock.agents.systems.aws.firewall import find_security_group
from interlock.agents.systems.aws.keys import find_key
from interlock.agents.systems.aws.network import Network
from interlock.agents.systems.aws.resource import Observed, Properties, pairs, tagged
from interlock.agents.systems.aws.secrets import OWNER, SecretStore
from interlock.agents.systems.aws.service import Document
from interlock.agents.systems.aws.session import Aws
from interlock.agents.systems.iops import provisioned_iops
from interlock.protocol.errors import PermanentError
from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec
from interlock.protocol.values import Environment

_NONE = "none"
_MANAGER = "interlock"


@dataclass(frozen=True, slots=True)
class Instance:
    """One database instance, owned by the Jira issue in its tags."""

    aws: Aws
    spec: DatabaseSpec
    network: Network
    key_alias: str
    subnet_group: str
    parameter_group: str
    tags: Properties
    permanent: frozenset[str] = frozenset({"databaseName", "encryptedBy", "engine", "port", "subnetGroup", "username"})

    @property
    def address(self) -> str:
        """One instance per environment in the code, e.g. `aws_db_instance.production`."""
        return f"aws_db_instance.{self.spec.environment}"

    @property
    def desired(self) -> Properties:
        """What the instance shall be."""
        spec = self.spec
        properties = {
            "autoMinorVersionUpgrade": "true",
            "backupRetentionDays": str(spec.backup_retention_days),
            "backupWindow": "03:00-04:00",
            "copyTagsToSnapshot": "true",
            "databaseName": spec.database_name,
            "deletionProtection": _word(spec.environment is Environment.PRODUCTION),
            "encryptedBy": self.key_alias if spec.encryption_at_rest else _NONE,
            "engine": spec.engine.value,
            "engineVersion": spec.engine_version,
            "identifier": spec.identifier,
            "instanceClass": spec.instance_class,
            "logExports": "postgresql,upgrade" if spec.engine is DatabaseEngine.POSTGRES else "error",
            "maintenanceWindow": "mon:05:00-mon:06:00",
            "multiAz": _word(spec.multi_az),
            "parameterGroup": self.parameter_group,
            "port": str(spec.port),
            "publiclyAccessible": _word(spec.publicly_accessible),
            "securityGroup": spec.security_group,
            "storageGb": str(spec.storage_gb),
            "storageType": spec.storage_type.value,
            "subnetGroup": self.subnet_group,
            "username": OWNER,
        }
        iops = provisioned_iops(spec)
        if iops is not None:
            properties["iops"] = str(iops)
        return properties | {f"tags.{name}": value for name, value in self.tags.items()}

    async def observe(self) -> Observed | None:
        """Look at the instance.

        Raises PermanentError when another issue or another tool manages it, or when it is broken.
        """
        found = await describe_database(self.aws, self.spec.identifier)
        if found is None:
            return None
        self._refuse_strangers(found)
        if found.broken:
            raise PermanentError(f"database {found.identifier!r} is {found.status!r}; repair or remove it in AWS first")
        key = await find_key(self.aws, self.key_alias) if found.encrypted else None
        named = key is not None and found.kms_key in {key["Arn"], key["KeyId"], self.key_alias}
        group = await find_security_group(self.aws, self.spec.security_group, vpc_id=self.network.id)
        attached = group is not None and found.security_group_ids == (group["GroupId"],)
        properties = {
            "autoMinorVersionUpgrade": _word(found.auto_minor_upgrades),
            "backupRetentionDays": str(found.backup_retention_days),
            "backupWindow": found.backup_window or _NONE,
            "copyTagsToSnapshot": _word(found.copies_tags_to_snapshots),
            "databaseName": found.database_name or _NONE,
            "deletionProtection": _word(found.deletion_protection),
            "encryptedBy": self.key_alias if named else (found.kms_key or _NONE),
            "engine": found.engine,
            "engineVersion": self._version(found.engine_version),
            "identifier": found.identifier,
            "instanceClass": found.instance_class,
            "logExports": ",".join(found.log_exports) or _NONE,
            "maintenanceWindow": found.maintenance_window or _NONE,
            "multiAz": _word(found.multi_az),
            "parameterGroup": found.parameter_group or _NONE,
            # The endpoint's port may be a proxy's or an emulator's; the engine's own is fixed at creation.
            "port": str(self.spec.port),
            "publiclyAccessible": _word(found.publicly_accessible),
            "securityGroup": self.spec.security_group if attached else (", ".join(found.security_group_ids) or _NONE),
            "storageGb": str(found.storage_gb),
            "storageType": found.storage_type,
            "subnetGroup": found.subnet_group or _NONE,
            "username": found.username,
        }
        if "iops" in self.desired:
            properties["iops"] = str(found.iops or 0)
        tags = tagged(self.desired, pairs(found.tags))
        return Observed(found.arn, properties | tags, ready=found.serving)

    async def create(self) -> None:
        """Ask for the instance; it becomes available minutes later."""
        credentials = await SecretStore(self.aws).read(self.spec.secret_name)
        if credentials is None:
            raise PermanentError(f"secret {self.spec.secret_name!r} is gone; make a new plan")
        request = await self._mutable() | {
            "DBName": self.spec.database_name,
            "DBSubnetGroupName": self.subnet_group,
            "EnableCloudwatchLogsExports": self.desired["logExports"].split(","),
            "Engine": self.spec.engine.value,
            "MasterUserPassword": credentials.password.get_secret_value(),
            "MasterUsername": credentials.username,
            "Port": self.spec.port,
            "StorageEncrypted": self.spec.encryption_at_rest,
            "Tags": pairs(self.tags),
        }
        if self.spec.encryption_at_rest:
            key = await find_key(self.aws, self.key_alias)
            if key is None:
                raise PermanentError(f"encryption key {self.key_alias!r} is gone; make a new plan")
            request["KmsKeyId"] = key["Arn"]
        await self.aws.rds.call("create_db_instance", request, about=self.spec.identifier)

    async def update(self) -> None:
        """Change the instance at once, not in its next maintenance window: the plan was approved for now."""
        found = await describe_database(self.aws, self.spec.identifier)
        if found is None:
            raise PermanentError(f"database {self.spec.identifier!r} has disappeared; make a new plan")
        wanted = set(self.desired["logExports"].split(","))
        logs = {
            "EnableLogTypes": sorted(wanted - set(found.log_exports)),
            "DisableLogTypes": sorted(set(found.log_exports) - wanted),
        }
        request = await self._mutable() | {"ApplyImmediately": True}
        if any(logs.values()):
            request["CloudwatchLogsExportConfiguration"] = logs
        if request["EngineVersion"] != found.engine_version:
            request["AllowMajorVersionUpgrade"] = True
        if self._version(found.engine_version) == self.spec.engine_version:
            # Leaving it out keeps the minor version that maintenance has brought.
            del request["EngineVersion"]
        await self.aws.rds.call("modify_db_instance", request, about=self.spec.identifier)
        tags = {"ResourceName": found.arn, "Tags": pairs(self.tags)}
        await self.aws.rds.call("add_tags_to_resource", tags, about=self.spec.identifier)

    async def _mutable(self) -> Document:
        desired = self.desired
        group = await find_security_group(self.aws, self.spec.security_group, vpc_id=self.network.id)
        if group is None:
            raise PermanentError(f"security group {self.spec.security_group!r} is gone; make a new plan")
        request: Document = {
            "AllocatedStorage": self.spec.storage_gb,
            "AutoMinorVersionUpgrade": True,
            "BackupRetentionPeriod": self.spec.backup_retention_days,
            "CopyTagsToSnapshot": True,
            "DBInstanceClass": self.spec.instance_class,
            "DBInstanceIdentifier": self.spec.identifier,
            "DBParameterGroupName": self.parameter_group,
            "DeletionProtection": self.spec.environment is Environment.PRODUCTION,
            "EngineVersion": self.spec.engine_version,
            "MultiAZ": self.spec.multi_az,
            "PreferredBackupWindow": desired["backupWindow"],
            "PreferredMaintenanceWindow": desired["maintenanceWindow"],
            "PubliclyAccessible": self.spec.publicly_accessible,
            "StorageType": self.spec.storage_type.value,
            "VpcSecurityGroupIds": [group["GroupId"]],
        }
        return request | ({"Iops": int(desired["iops"])} if "iops" in desired else {})

    def _refuse_strangers(self, found: DatabaseInstance) -> None:
        issue, manager = found.tags.get("JiraIssue"), found.tags.get("ManagedBy")
        if manager != _MANAGER or issue != self.tags["JiraIssue"]:
            raise PermanentError(
                f"database {found.identifier!r} exists already, managed by {manager or 'nobody we know'} for "
                f"{issue or 'no issue'}, not for {self.tags['JiraIssue']}; choose another identifier"
            )

    def _version(self, found: str) -> str:
        """Return the wanted version when the found one satisfies it: the same major, not an older minor."""
        wanted = [int(part) for part in self.spec.engine_version.split(".")]
        real = [int(part) for part in found.split(".") if part.isdigit()]
        major = 1 if self.spec.engine is DatabaseEngine.POSTGRES else 2
        satisfied = real[:major] == wanted[:major][: len(real)] and real >= wanted
        return self.spec.engine_version if satisfied else found


def _word(value: bool) -> str:
    return "true" if value else "false"
