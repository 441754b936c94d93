"""Security evidence from the real resources, for the checklist; it judges what it reads, and nothing else."""

from __future__ import annotations

__all__ = ["inspect"]

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from interlock.agents.systems.aws.database import DatabaseInstance, describe_database
from interlock.agents.systems.aws.desired import APPLICATION_ROLE
from interlock.agents.systems.aws.firewall import ingress_rules
from interlock.agents.systems.aws.keys import find_key
from interlock.agents.systems.aws.network import Network, find_network
from interlock.agents.systems.aws.parameters import forces_tls, read_parameter, tls_parameter
from interlock.agents.systems.aws.reading import together
from interlock.agents.systems.aws.secrets import SecretStore
from interlock.agents.systems.aws.session import Aws
from interlock.protocol.errors import PermanentError, TransientError
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.values import CheckResult, CheckVerdict, Environment

_ANYWHERE = ("0.0.0.0/0", "::/0")
_SHORTEST_PASSWORD = 20
_PRODUCTION_BACKUP_DAYS = 7

Finding = tuple[CheckVerdict, str]


async def inspect(aws: Aws, spec: DatabaseSpec, *, reader: str = APPLICATION_ROLE) -> tuple[CheckResult, ...]:
    """Return K1 to K9 and K14 for a database that exists; `reader` is the role that may read its secret.

    Each result is unknown, with the reason, where AWS could not be read; it never raises for that.
    """
    try:
        instance = await describe_database(aws, spec.identifier)
        network = await find_network(aws, spec.vpc)
    except (PermanentError, TransientError) as error:
        return tuple(_result(check, CheckVerdict.UNKNOWN, str(error)) for check in _CHECKS)
    if instance is None:
        missing = f"DescribeDBInstances knows no {spec.identifier}"
        return tuple(_result(check, CheckVerdict.UNKNOWN, missing) for check in _CHECKS)
    subject = _Subject(aws, spec, instance, network, reader)
    return tuple(await together([partial(_checked, check, subject) for check in _CHECKS]))


@dataclass(frozen=True, slots=True)
class _Subject:
    aws: Aws
    spec: DatabaseSpec
    instance: DatabaseInstance
    network: Network
    reader: str


@dataclass(frozen=True, slots=True)
class _Check:
    id: str
    title: str
    read: Callable[[_Subject], Awaitable[Finding]]


async def _checked(check: _Check, subject: _Subject) -> CheckResult:
    try:
        verdict, evidence = await check.read(subject)
    except (PermanentError, TransientError) as error:
        verdict, evidence = CheckVerdict.UNKNOWN, str(error)
    return _result(check, verdict, evidence)


def _result(check: _Check, verdict: CheckVerdict, evidence: str) -> CheckResult:
    return CheckResult(id=check.id, title=check.title, verdict=verdict, evidence=evidence[:500])


def _judged(holds: bool, evidence: str) -> Finding:
    return (CheckVerdict.PASS if holds else CheckVerdict.FAIL), evidence


async def _private_subnets(subject: _Subject) -> Finding:
    placed = set(subject.instance.subnet_ids)
    if not placed:
        return CheckVerdict.UNKNOWN, f"DescribeDBInstances names no subnets of {subject.instance.identifier}"
    public = sorted(placed - {subnet.id for subnet in subject.network.private_subnets})
    holds = not public and not subject.instance.publicly_accessible
    routes = f"{', '.join(public)} not private" if public else f"{len(placed)} subnets without internet route"
    return _judged(
        holds, f"DescribeRouteTables: {routes}; PubliclyAccessible is {subject.instance.publicly_accessible}"
    )


async def _least_privilege(subject: _Subject) -> Finding:
    identifiers = list(subject.instance.security_group_ids)
    found = await subject.aws.ec2.listed(
        "describe_security_groups", "SecurityGroups", {"GroupIds": identifiers}, about=", ".join(identifiers)
    )
    port = subject.spec.port
    rules = [rule for group in found for rule in ingress_rules(group)]
    excess = [rule for rule in rules if rule.endswith(_ANYWHERE) or not rule.startswith(f"tcp/{port} from ")]
    return _judged(bool(found) and not excess, f"{', '.join(identifiers)} admits {', '.join(rules) or 'nobody'}")


async def _access_to_secret(subject: _Subject) -> Finding:
    role = await subject.aws.iam.call("get_role", {"RoleName": subject.reader}, about=subject.reader)
    policy = await SecretStore(subject.aws).policy(subject.spec.secret_name)
    if policy is None:
        return CheckVerdict.UNKNOWN, f"{subject.spec.secret_name} has no resource policy; who reads it follows from IAM"
    allowed = [statement for statement in policy["Statement"] if statement["Effect"] == "Allow"]
    readers = {reader for statement in allowed for reader in _principals(statement["Principal"])}
    actions = {action for statement in allowed for action in _each(statement["Action"])}
    attached = await subject.aws.iam.listed(
        "list_attached_role_policies", "AttachedPolicies", {"RoleName": subject.reader}, about=subject.reader
    )
    names = sorted(one["PolicyName"] for one in attached)
    holds = readers == {role["Role"]["Arn"]} and not any("*" in action for action in actions)
    holds = holds and not {"AdministratorAccess", "PowerUserAccess", "SecretsManagerReadWrite"} & set(names)
    who, policies = ", ".join(sorted(readers)), ", ".join(names) or "none"
    evidence = f"{subject.spec.secret_name} readable by {who}; role policies: {policies}"
    return _judged(holds, evidence)


def _principals(principal: str | dict[str, str | list[str]]) -> list[str]:
    return [principal] if isinstance(principal, str) else [one for many in principal.values() for one in _each(many)]


def _each(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


async def _at_rest(subject: _Subject) -> Finding:
    if not subject.instance.encrypted or subject.instance.kms_key is None:
        return CheckVerdict.FAIL, f"StorageEncrypted is {subject.instance.encrypted}"
    key = await find_key(subject.aws, subject.instance.kms_key)
    if key is None:
        return CheckVerdict.UNKNOWN, f"DescribeKey knows no {subject.instance.kms_key}"
    rotation = await subject.aws.kms.call(
        "get_key_rotation_status", {"KeyId": key["KeyId"]}, about=subject.instance.kms_key
    )
    holds = key["KeyManager"] == "CUSTOMER" and key["KeyState"] == "Enabled" and rotation["KeyRotationEnabled"]
    evidence = f"key manager {key['KeyManager']}, state {key['KeyState']}, rotation {rotation['KeyRotationEnabled']}"
    return _judged(bool(holds), evidence)


async def _in_transit(subject: _Subject) -> Finding:
    group = subject.instance.parameter_group
    if group is None:
        return CheckVerdict.UNKNOWN, f"DescribeDBInstances names no parameter group of {subject.instance.identifier}"
    parameter, _ = tls_parameter(subject.spec.engine, required=True)
    value = await read_parameter(subject.aws, group, parameter)
    waiting = "" if subject.instance.parameters_in_sync else ", not yet in force"
    return _judged(forces_tls(value) and not waiting, f"{parameter} is {value or 'not set'} in {group}{waiting}")


async def _secret(subject: _Subject) -> Finding:
    name = subject.spec.secret_name
    credentials = await SecretStore(subject.aws).read(name)
    if credentials is None:
        return CheckVerdict.FAIL, f"secret {name} does not exist"
    password = credentials.password.get_secret_value()
    described = await SecretStore(subject.aws).describe(name) or {}
    elsewhere = password in str(subject.instance) or password in str(described)
    weak = len(password) < _SHORTEST_PASSWORD or password.lower() in {"password", credentials.username.lower()}
    trouble = "; ".join(
        text for found, text in ((elsewhere, "also stands in tags"), (weak, "password too weak")) if found
    )
    return _judged(not trouble, f"{name} holds the credentials; {trouble or 'they stand in no tag or description'}")


async def _vpc(subject: _Subject) -> Finding:
    if subject.network.default or subject.instance.vpc_id != subject.network.id:
        return (
            CheckVerdict.FAIL,
            f"the instance is in {subject.instance.vpc_id}, default VPC: {subject.network.default}",
        )
    request = {"Filters": [{"Name": "resource-id", "Values": [subject.network.id]}]}
    logs = await subject.aws.ec2.listed("describe_flow_logs", "FlowLogs", request, about=subject.network.id)
    return CheckVerdict.PASS, f"{subject.network.name} is a VPC of its own; flow logs: {len(logs) or 'none'}"


async def _network_acls(subject: _Subject) -> Finding:
    subnets = set(subject.instance.subnet_ids)
    filters = {"Filters": [{"Name": "association.subnet-id", "Values": sorted(subnets)}]}
    acls = await subject.aws.ec2.listed("describe_network_acls", "NetworkAcls", filters, about=subject.network.name)
    covered = {one["SubnetId"] for acl in acls for one in acl["Associations"]} & subnets
    if not subnets or covered != subnets:
        return CheckVerdict.UNKNOWN, f"DescribeNetworkAcls covers {len(covered)} of {len(subnets)} subnets"
    open_ones = sorted(
        acl["NetworkAclId"]
        for acl in acls
        for entry in acl["Entries"]
        if entry["RuleAction"] == "allow"
        and not entry["Egress"]
        and entry.get("CidrBlock", entry.get("Ipv6CidrBlock")) in _ANYWHERE
    )
    names = ", ".join(sorted(acl["NetworkAclId"] for acl in acls))
    evidence = f"{names} let everyone in: {', '.join(open_ones)}" if open_ones else f"{names} admit no outside range"
    return _judged(not open_ones, evidence)


async def _multi_az(subject: _Subject) -> Finding:
    needed = subject.spec.environment is Environment.PRODUCTION
    return _judged(subject.instance.multi_az or not needed, f"MultiAZ is {subject.instance.multi_az}")


async def _backups(subject: _Subject) -> Finding:
    days = subject.instance.backup_retention_days
    least = _PRODUCTION_BACKUP_DAYS if subject.spec.environment is Environment.PRODUCTION else 1
    return _judged(
        days >= least, f"BackupRetentionPeriod is {days} days, at least {least} needed; no restore was tried"
    )


_CHECKS = (
    _Check("K1", "Private subnets for databases", _private_subnets),
    _Check("K2", "Security groups (least privilege)", _least_privilege),
    _Check("K3", "IAM roles and policies", _access_to_secret),
    _Check("K4", "Encryption at rest", _at_rest),
    _Check("K5", "Encryption in transit", _in_transit),
    _Check("K6", "Secret management", _secret),
    _Check("K7", "VPC configuration", _vpc),
    _Check("K8", "Network ACLs", _network_acls),
    _Check("K9", "Multi-AZ deployment", _multi_az),
    _Check("K14", "Backup and restore", _backups),
)
