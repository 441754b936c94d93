"""From a specification to the resources that it means, in the order in which they are created."""

from __future__ import annotations

__all__ = ["APPLICATION_ROLE", "MANAGER", "desired_resources"]

from interlock.agents.systems.aws.firewall import SecurityGroup
from interlock.agents.systems.aws.instance import Instance
from interlock.agents.systems.aws.keys import EncryptionKey, alias_of
from interlock.agents.systems.aws.network import Network
from interlock.agents.systems.aws.parameters import ParameterGroup
from interlock.agents.systems.aws.resource import Resource
from interlock.agents.systems.aws.secrets import ConnectionSecret, CredentialsSecret
from interlock.agents.systems.aws.session import Aws
from interlock.agents.systems.aws.subnets import SubnetGroup
from interlock.agents.systems.aws.topics import AlertTopic, topic_name
from interlock.protocol.infrastructure import DatabaseSpec

APPLICATION_ROLE = "app-role"
"""The IAM role that applications run under, as in the specification; it exists already."""

MANAGER = "interlock"
"""The value of the tag `ManagedBy`."""


def desired_resources(
    aws: Aws, spec: DatabaseSpec, network: Network, *, issue: str, reader: str = APPLICATION_ROLE
) -> tuple[Resource, ...]:
    """Return every resource of one database; each needs only those before it.

    What several databases share (key, subnet group, security group, topic) bears no issue: it would change hands with
    every ticket. Raises PermanentError when the network or the version cannot carry the specification.
    """
    shared = {"Environment": spec.environment.value, "ManagedBy": MANAGER}
    own = shared | {"JiraIssue": issue}
    key = EncryptionKey(aws, alias_of(spec.environment), shared)
    subnets = SubnetGroup(aws, network, shared)
    parameters = ParameterGroup(aws, spec, own)
    instance = Instance(
        aws,
        spec,
        network,
        key_alias=key.alias,
        subnet_group=subnets.name,
        parameter_group=parameters.name,
        tags=own,
    )
    return (
        *((key,) if spec.encryption_at_rest else ()),
        subnets,
        SecurityGroup(aws, spec.security_group, network, spec.port, shared),
        parameters,
        AlertTopic(aws, topic_name(spec.environment), shared),
        CredentialsSecret(aws, spec, reader, own),
        instance,
        ConnectionSecret(aws, spec, instance.address),
    )
