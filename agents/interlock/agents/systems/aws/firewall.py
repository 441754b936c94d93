"""Security groups with exactly the rules that are wanted; it knows no database."""

from __future__ import annotations

__all__ = ["SecurityGroup", "find_security_group", "ingress_rules"]

from dataclasses import dataclass

from interlock.agents.systems.aws.network import Network
from interlock.agents.systems.aws.resource import Observed, Properties, pairs, tagged
from interlock.agents.systems.aws.service import Document
from interlock.agents.systems.aws.session import Aws

_NONE = "none"


async def find_security_group(aws: Aws, name: str, *, vpc_id: str) -> Document | None:
    """Return what AWS describes of the group with this name in this VPC, None when there is none."""
    filters = [{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": [vpc_id]}]
    found = await aws.ec2.listed("describe_security_groups", "SecurityGroups", {"Filters": filters}, about=name)
    return found[0] if found else None


def ingress_rules(group: Document) -> tuple[str, ...]:
    """Return a described group's inbound rules as people read them, e.g. `tcp/5432 from 10.0.0.0/16`."""
    return _rules(group.get("IpPermissions", []), "from")


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """Lets the VPC reach one port, and nothing out: a database starts no connections."""

    aws: Aws
    name: str
    network: Network
    port: int
    tags: Properties
    address: str = "aws_security_group.db"
    permanent: frozenset[str] = frozenset()

    @property
    def desired(self) -> Properties:
        """What the group shall be."""
        return {
            "name": self.name,
            "vpc": self.network.name,
            "ingress": f"tcp/{self.port} from {self.network.cidr}",
            "egress": _NONE,
        } | {f"tags.{name}": value for name, value in self.tags.items()}

    async def observe(self) -> Observed | None:
        """Look at the group and its rules."""
        group = await find_security_group(self.aws, self.name, vpc_id=self.network.id)
        if group is None:
            return None
        properties = {
            "name": self.name,
            "vpc": self.network.name,
            "ingress": ", ".join(ingress_rules(group)) or _NONE,
            "egress": ", ".join(_rules(group.get("IpPermissionsEgress", []), "to")) or _NONE,
        }
        return Observed(group["GroupId"], properties | tagged(self.desired, group.get("Tags", [])))

    async def create(self) -> None:
        """Create the group, then its rules."""
        request = {
            "GroupName": self.name,
            "Description": f"Database port from {self.network.name} only",
            "VpcId": self.network.id,
            "TagSpecifications": [{"ResourceType": "security-group", "Tags": pairs(self.tags)}],
        }
        await self.aws.ec2.call("create_security_group", request, about=self.name)
        await self.update()

    async def update(self) -> None:
        """Revoke every rule that is not wanted, then authorise the wanted one where it is missing."""
        group = await find_security_group(self.aws, self.name, vpc_id=self.network.id)
        if group is None:
            return
        about = {"GroupId": group["GroupId"]}
        wanted = self.desired["ingress"]
        inbound: list[Document] = group.get("IpPermissions", [])
        if excess := [rule for rule in inbound if _rules([rule], "from") != (wanted,)]:
            await self.aws.ec2.call("revoke_security_group_ingress", about | {"IpPermissions": excess}, about=self.name)
        if outbound := group.get("IpPermissionsEgress"):
            request = about | {"IpPermissions": outbound}
            await self.aws.ec2.call("revoke_security_group_egress", request, about=self.name)
        if len(excess) == len(inbound):
            ranges = [{"CidrIp": self.network.cidr, "Description": f"Clients inside {self.network.name}"}]
            rule = {"IpProtocol": "tcp", "FromPort": self.port, "ToPort": self.port, "IpRanges": ranges}
            await self.aws.ec2.call(
                "authorize_security_group_ingress", about | {"IpPermissions": [rule]}, about=self.name
            )
        await self.aws.ec2.call(
            "create_tags", {"Resources": [group["GroupId"]], "Tags": pairs(self.tags)}, about=self.name
        )


def _rules(permissions: list[Document], preposition: str) -> tuple[str, ...]:
    return tuple(
        sorted(
            f"{_ports(permission)} {preposition} {peer}" for permission in permissions for peer in _peers(permission)
        )
    )


def _ports(permission: Document) -> str:
    protocol, first, last = permission["IpProtocol"], permission.get("FromPort"), permission.get("ToPort")
    if protocol == "-1":
        return "all"
    return f"{protocol}/{first}" if first == last else f"{protocol}/{first}-{last}"


def _peers(permission: Document) -> list[str]:
    return [
        *(one["CidrIp"] for one in permission.get("IpRanges", [])),
        *(one["CidrIpv6"] for one in permission.get("Ipv6Ranges", [])),
        *(one["PrefixListId"] for one in permission.get("PrefixListIds", [])),
        *(one["GroupId"] for one in permission.get("UserIdGroupPairs", [])),
    ]
