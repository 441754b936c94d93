"""The database's place in the network in Terraform; it knows no database engine."""

from __future__ import annotations

__all__ = ["network_blocks", "subnet_tier"]

import re
from collections.abc import Mapping

from interlock.agents.systems.terraform.hcl import Block, Expression, Reference
from interlock.protocol.infrastructure import DatabaseSpec

_VPC_ID = re.compile(r"vpc-([0-9a-f]{8}|[0-9a-f]{17})")


def subnet_tier(spec: DatabaseSpec) -> str:
    """Return which subnets the database lies in, by their tag `Tier`; the subnet group is named after it."""
    return "public" if spec.publicly_accessible else "private"


def network_blocks(spec: DatabaseSpec, tags: Mapping[str, Expression]) -> tuple[Block, ...]:
    """Return the resources of `network.tf`: the VPC is looked up, the database's groups in it are made.

    Nothing but the VPC's own addresses may open a connection, and only to the database's port; there is no way out.
    """
    tier = subnet_tier(spec)
    return (
        Block("data", "aws_caller_identity", "current"),
        _vpc(spec.vpc),
        Block(
            "data",
            "aws_subnets",
            tier,
            blocks=(
                _filter("vpc-id", Reference("data.aws_vpc.selected.id")),
                _filter("tag:Tier", tier),
            ),
        ),
        Block(
            "resource",
            "aws_db_subnet_group",
            tier,
            attributes={
                "name": f"{spec.identifier}-{tier}",
                "description": f"The {tier} subnets of {spec.vpc}",
                "subnet_ids": Reference(f"data.aws_subnets.{tier}.ids"),
                "tags": tags,
            },
        ),
        Block(
            "resource",
            "aws_security_group",
            "db",
            attributes={
                "name": spec.security_group,
                "description": f"Reaches {spec.identifier} from inside its VPC only",
                "vpc_id": Reference("data.aws_vpc.selected.id"),
                "tags": {"Name": spec.security_group, **tags},
            },
        ),
        Block(
            "resource",
            "aws_vpc_security_group_ingress_rule",
            "db",
            attributes={
                "security_group_id": Reference("aws_security_group.db.id"),
                "description": f"{spec.engine.label} from the VPC",
                "cidr_ipv4": Reference("data.aws_vpc.selected.cidr_block"),
                "ip_protocol": "tcp",
                "from_port": spec.port,
                "to_port": spec.port,
                "tags": tags,
            },
        ),
    )


def _vpc(vpc: str) -> Block:
    if _VPC_ID.fullmatch(vpc):
        return Block("data", "aws_vpc", "selected", attributes={"id": vpc})
    return Block("data", "aws_vpc", "selected", blocks=(_filter("tag:Name", vpc),))


def _filter(name: str, value: str | Reference) -> Block:
    return Block("filter", attributes={"name": name, "values": [value]})
