"""The network that a database is placed in, as it is found; it creates nothing."""

from __future__ import annotations

__all__ = ["Network", "Subnet", "find_network"]

from dataclasses import dataclass

from interlock.agents.systems.aws.service import Document
from interlock.agents.systems.aws.session import Aws
from interlock.protocol.errors import PermanentError


@dataclass(frozen=True, slots=True)
class Subnet:
    """One subnet of a VPC."""

    id: str
    zone: str
    """Availability zone, e.g. `ap-northeast-2a`."""
    cidr: str
    private: bool
    """No route of its route table leads to an internet gateway."""

    def __str__(self) -> str:
        return f"{self.cidr}@{self.zone}"


@dataclass(frozen=True, slots=True)
class Network:
    """One VPC with its subnets, ordered by zone and range."""

    id: str
    name: str
    cidr: str
    default: bool
    """The account's default VPC, which is public."""
    subnets: tuple[Subnet, ...]

    @property
    def private_subnets(self) -> tuple[Subnet, ...]:
        """The subnets without a way to the internet gateway."""
        return tuple(subnet for subnet in self.subnets if subnet.private)

    def placement(self) -> tuple[Subnet, ...]:
        """Return the private subnets, for a database subnet group.

        Raises PermanentError when they lie in fewer than two zones, which Amazon RDS requires (`CreateDBSubnetGroup`).
        """
        zones = {subnet.zone for subnet in self.private_subnets}
        if len(zones) < 2:
            raise PermanentError(
                f"VPC {self.name!r} ({self.id}) has private subnets in {len(zones)} availability zone(s), a database "
                "subnet group needs 2; add private subnets"
            )
        return self.private_subnets


async def find_network(aws: Aws, name: str) -> Network:
    """Return the VPC whose Name tag is `name`.

    Raises PermanentError when there is none or more than one, TransientError when AWS cannot be read.
    """
    tag = [{"Name": "tag:Name", "Values": [name]}]
    found = await aws.ec2.listed("describe_vpcs", "Vpcs", {"Filters": tag}, about=name)
    if len(found) != 1:
        raise PermanentError(
            f"{len(found)} VPCs are named {name!r} in {aws.region}, exactly one is needed; create it or correct the tag"
        )
    vpc = found[0]
    inside = {"Filters": [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]}
    tables = await aws.ec2.listed("describe_route_tables", "RouteTables", inside, about=name)
    subnets = await aws.ec2.listed("describe_subnets", "Subnets", inside, about=name)
    return Network(
        id=vpc["VpcId"],
        name=name,
        cidr=vpc["CidrBlock"],
        default=bool(vpc.get("IsDefault")),
        subnets=tuple(sorted((_subnet(one, tables) for one in subnets), key=lambda one: (one.zone, one.cidr))),
    )


def _subnet(described: Document, tables: list[Document]) -> Subnet:
    identifier = described["SubnetId"]
    explicit = [table for table in tables if _associated(table, "SubnetId", identifier)]
    # A subnet without a table of its own uses the VPC's main one (Amazon VPC, "Subnet route tables").
    routes = explicit or [table for table in tables if _associated(table, "Main", True)]
    return Subnet(
        id=identifier,
        zone=described["AvailabilityZone"],
        cidr=described["CidrBlock"],
        private=bool(routes) and not any(_reaches_internet(table) for table in routes),
    )


def _associated(table: Document, member: str, value: object) -> bool:
    return any(association.get(member) == value for association in table.get("Associations", []))


def _reaches_internet(table: Document) -> bool:
    return any(str(route.get("GatewayId", "")).startswith("igw-") for route in table.get("Routes", []))
