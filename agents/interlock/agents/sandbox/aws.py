"""AWS on the loopback interface: moto as a server, with the account that the specification presupposes."""

from __future__ import annotations

__all__ = ["SandboxAws"]

import json
import logging
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import anyio.to_thread
from moto.moto_api._internal.models import moto_api_backend
from moto.server import ThreadedMotoServer
from pydantic import SecretStr

from interlock.agents.sandbox.journal import Listener, unheard
from interlock.agents.sandbox.rds_endpoint import DatabaseBackend, emulated_databases
from interlock.agents.systems.aws.session import Aws, AwsSettings

_NETWORKS = {"prod-vpc": "10.0", "staging-vpc": "10.1", "test-vpc": "10.2", "dev-vpc": "10.3"}
_ZONES = ("a", "b", "c")


class SandboxAws:
    """One emulated account; an async context manager. A process holds one at a time, since moto's state is global."""

    def __init__(
        self,
        *,
        region: str = "ap-northeast-2",
        databases: DatabaseBackend | None = None,
        describes_until_available: int = 0,
        journal: Listener = unheard,
    ) -> None:
        """`describes_until_available`: how many looks a new database is `creating` for, to rehearse the waiting.

        `journal` hears of each database that is asked for, also when it is refused.
        """
        self._region = region
        self._databases = databases
        self._describes_until_available = describes_until_available
        self._journal = journal
        self._stack = ExitStack()
        self._settings: AwsSettings | None = None

    def __repr__(self) -> str:
        return f"SandboxAws(region={self._region!r}, url={self._settings.endpoint_url if self._settings else None!r})"

    @property
    def settings(self) -> AwsSettings:
        """How clients reach this account."""
        assert self._settings is not None, "the sandbox is not running"
        return self._settings

    async def __aenter__(self) -> Self:
        # Its access log would drown the team's own output.
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        with ExitStack() as stack:
            stack.enter_context(
                emulated_databases(
                    self._databases,
                    describes_until_available=self._describes_until_available,
                    journal=self._journal,
                )
            )
            server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
            await anyio.to_thread.run_sync(server.start)
            stack.callback(server.stop)
            host, port = server.get_host_and_port()
            self._settings = AwsSettings(
                region=self._region,
                endpoint_url=f"http://{host}:{port}",
                access_key_id="sandbox",
                secret_access_key=SecretStr("sandbox"),
            )
            async with Aws(self._settings) as aws:
                await self.reset(aws)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._settings = None
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(self._stack.close)

    async def reset(self, aws: Aws) -> None:
        """Make the account new again: empty but for the networks and the application's role. `aws` is its client."""
        moto_api_backend.reset()
        await _seed(aws)


async def _seed(aws: Aws) -> None:
    for name, prefix in _NETWORKS.items():
        await _network(aws, name, prefix)
    trust = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
    role = {"RoleName": "app-role", "AssumeRolePolicyDocument": json.dumps(trust), "Description": "The application"}
    await aws.iam.call("create_role", role, about="app-role")


async def _network(aws: Aws, name: str, prefix: str) -> None:
    """Create a VPC without any way to the internet: three subnets, and a network ACL that admits the VPC only."""
    cidr = f"{prefix}.0.0/16"
    vpc = (await aws.ec2.call("create_vpc", {"CidrBlock": cidr, **_named("vpc", name)}, about=name))["Vpc"]["VpcId"]
    tag = _named("network-acl", f"{name}-private")
    acl = (await aws.ec2.call("create_network_acl", {"VpcId": vpc, **tag}, about=name))["NetworkAcl"]["NetworkAclId"]
    for outward in (False, True):
        entry = {
            "NetworkAclId": acl,
            "RuleNumber": 100,
            "Protocol": "6",
            "RuleAction": "allow",
            "Egress": outward,
            "CidrBlock": cidr,
            "PortRange": {"From": 0, "To": 65_535},
        }
        await aws.ec2.call("create_network_acl_entry", entry, about=acl)
    for number, zone in enumerate(_ZONES, start=1):
        subnet = {
            "VpcId": vpc,
            "CidrBlock": f"{prefix}.{number}.0/24",
            "AvailabilityZone": f"{aws.region}{zone}",
            **_named("subnet", f"{name}-private-{zone}"),
        }
        identifier = (await aws.ec2.call("create_subnet", subnet, about=name))["Subnet"]["SubnetId"]
        await _associate(aws, identifier, acl)


async def _associate(aws: Aws, subnet: str, acl: str) -> None:
    filters = [{"Name": "association.subnet-id", "Values": [subnet]}]
    answer = await aws.ec2.call("describe_network_acls", {"Filters": filters}, about=subnet)
    associations = (
        one for found in answer["NetworkAcls"] for one in found["Associations"] if one["SubnetId"] == subnet
    )
    request = {"AssociationId": next(associations)["NetworkAclAssociationId"], "NetworkAclId": acl}
    await aws.ec2.call("replace_network_acl_association", request, about=subnet)


def _named(kind: str, name: str) -> dict[str, object]:
    return {"TagSpecifications": [{"ResourceType": kind, "Tags": [{"Key": "Name", "Value": name}]}]}
