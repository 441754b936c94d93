"""Database parameter groups that force TLS; it knows engines and versions, no instance."""

from __future__ import annotations

__all__ = ["ParameterGroup", "forces_tls", "parameter_family", "read_parameter", "tls_parameter"]

from dataclasses import dataclass

from interlock.agents.systems.aws.resource import Observed, Properties, pairs, tagged
from interlock.agents.systems.aws.service import Document
from interlock.agents.systems.aws.session import Aws
from interlock.protocol.errors import PermanentError
from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec


def parameter_family(spec: DatabaseSpec) -> str:
    """Return the family of a specification's engine version, e.g. `postgres14` or `mysql8.0`.

    Raises PermanentError for a MySQL or MariaDB version without its second number, which names the family.
    """
    parts = spec.engine_version.split(".")
    if spec.engine is DatabaseEngine.POSTGRES:
        return f"postgres{parts[0]}"
    if len(parts) < 2:
        raise PermanentError(
            f"{spec.engine.label} version {spec.engine_version!r} of {spec.identifier!r} does not name a release "
            "family; give two numbers, e.g. 8.0"
        )
    return f"{spec.engine}{parts[0]}.{parts[1]}"


def tls_parameter(engine: DatabaseEngine, *, required: bool) -> tuple[str, str]:
    """Return the parameter, and its value, that decides whether connections without TLS are refused.

    Source: Amazon RDS User Guide, "Using SSL with a PostgreSQL DB instance" and "Requiring SSL/TLS" for MySQL, MariaDB.
    """
    if engine is DatabaseEngine.POSTGRES:
        return "rds.force_ssl", "1" if required else "0"
    return "require_secure_transport", "ON" if required else "OFF"


def forces_tls(value: str | None) -> bool:
    """Return whether the parameter's value, as read, refuses connections without TLS."""
    return value is not None and value.upper() in {"1", "ON"}


async def read_parameter(aws: Aws, group: str, parameter: str) -> str | None:
    """Return a parameter's value in a group, None when not set there. Raises AwsRefusedError without the group."""
    request = {"DBParameterGroupName": group}
    for found in await aws.rds.listed("describe_db_parameters", "Parameters", request, about=group):
        if found["ParameterName"] == parameter:
            return found.get("ParameterValue")
    return None


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """The settings of one database's engine."""

    aws: Aws
    spec: DatabaseSpec
    tags: Properties
    address: str = "aws_db_parameter_group.tls"
    permanent: frozenset[str] = frozenset({"family"})

    @property
    def name(self) -> str:
        """One group per database and family: a new major version gets a new group."""
        return f"{self.spec.identifier}-{parameter_family(self.spec)}".replace(".", "-")

    @property
    def desired(self) -> Properties:
        """What the group shall be."""
        parameter, value = self._parameter
        return {"name": self.name, "family": parameter_family(self.spec), parameter: value} | {
            f"tags.{name}": value for name, value in self.tags.items()
        }

    async def observe(self) -> Observed | None:
        """Look at the group, its parameter and its tags."""
        # An absent group is an empty list for some endpoints, a refusal for AWS itself.
        answer = await self.aws.rds.find(
            "describe_db_parameter_groups",
            {"DBParameterGroupName": self.name},
            about=self.name,
            absent="DBParameterGroupNotFound",
        )
        if answer is None or not answer["DBParameterGroups"]:
            return None
        group: Document = answer["DBParameterGroups"][0]
        arn = group["DBParameterGroupArn"]
        parameter, _ = self._parameter
        value = await read_parameter(self.aws, self.name, parameter)
        tags = await self.aws.rds.listed("list_tags_for_resource", "TagList", {"ResourceName": arn}, about=self.name)
        properties = {"name": self.name, "family": group["DBParameterGroupFamily"], parameter: value or "not set"}
        return Observed(arn, properties | tagged(self.desired, tags))

    async def create(self) -> None:
        """Create the group, then set its parameter."""
        request = {
            "DBParameterGroupName": self.name,
            "DBParameterGroupFamily": parameter_family(self.spec),
            "Description": f"Settings of {self.spec.identifier}",
            "Tags": pairs(self.tags),
        }
        await self.aws.rds.call("create_db_parameter_group", request, about=self.name)
        await self._set_parameter()

    async def update(self) -> None:
        """Set the parameter and the tags."""
        await self._set_parameter()
        observed = await self.observe()
        if observed:
            request = {"ResourceName": observed.id, "Tags": pairs(self.tags)}
            await self.aws.rds.call("add_tags_to_resource", request, about=self.name)

    @property
    def _parameter(self) -> tuple[str, str]:
        return tls_parameter(self.spec.engine, required=self.spec.encryption_in_transit)

    async def _set_parameter(self) -> None:
        name, value = self._parameter
        parameters = [{"ParameterName": name, "ParameterValue": value, "ApplyMethod": "immediate"}]
        request = {"DBParameterGroupName": self.name, "Parameters": parameters}
        await self.aws.rds.call("modify_db_parameter_group", request, about=self.name)
