"""The database subnet group over a network's private subnets; it knows no database."""

from __future__ import annotations

__all__ = ["SubnetGroup"]

from dataclasses import dataclass

from interlock.agents.systems.aws.network import Network
from interlock.agents.systems.aws.resource import Observed, Properties, pairs, tagged
from interlock.agents.systems.aws.service import Document
from interlock.agents.systems.aws.session import Aws


@dataclass(frozen=True, slots=True)
class SubnetGroup:
    """Where Amazon RDS may place instances: private subnets in at least two zones."""

    aws: Aws
    network: Network
    tags: Properties
    address: str = "aws_db_subnet_group.private"
    permanent: frozenset[str] = frozenset({"vpc"})

    @property
    def name(self) -> str:
        """One group per VPC, e.g. `prod-vpc-db-private`."""
        return f"{self.network.name}-db-private".lower()

    @property
    def desired(self) -> Properties:
        """What the group shall be."""
        return {
            "name": self.name,
            "vpc": self.network.name,
            "subnets": ", ".join(str(subnet) for subnet in self.network.placement()),
        } | {f"tags.{name}": value for name, value in self.tags.items()}

    async def observe(self) -> Observed | None:
        """Look at the group and its tags."""
        answer = await self.aws.rds.find(
            "describe_db_subnet_groups",
            {"DBSubnetGroupName": self.name},
            about=self.name,
            absent="DBSubnetGroupNotFoundFault",
        )
        if answer is None:
            return None
        group: Document = answer["DBSubnetGroups"][0]
        members = {subnet["SubnetIdentifier"] for subnet in group["Subnets"]}
        known = [str(subnet) for subnet in self.network.subnets if subnet.id in members]
        strange = sorted(members - {subnet.id for subnet in self.network.subnets})
        arn = group["DBSubnetGroupArn"]
        tags = await self.aws.rds.listed("list_tags_for_resource", "TagList", {"ResourceName": arn}, about=self.name)
        properties = {
            "name": self.name,
            "vpc": self.network.name if group["VpcId"] == self.network.id else group["VpcId"],
            "subnets": ", ".join([*known, *strange]) or "none",
        }
        return Observed(arn, properties | tagged(self.desired, tags))

    async def create(self) -> None:
        """Create the group."""
        request = {"DBSubnetGroupDescription": f"Private subnets of {self.network.name}", "Tags": pairs(self.tags)}
        await self.aws.rds.call("create_db_subnet_group", self._members() | request, about=self.name)

    async def update(self) -> None:
        """Set the group's subnets and tags."""
        await self.aws.rds.call("modify_db_subnet_group", self._members(), about=self.name)
        observed = await self.observe()
        if observed:
            request = {"ResourceName": observed.id, "Tags": pairs(self.tags)}
            await self.aws.rds.call("add_tags_to_resource", request, about=self.name)

    def _members(self) -> Document:
        return {"DBSubnetGroupName": self.name, "SubnetIds": [subnet.id for subnet in self.network.placement()]}
