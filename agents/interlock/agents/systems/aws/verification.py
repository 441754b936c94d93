"""Every property of a specification, compared with what AWS reports about the real database."""

from __future__ import annotations

__all__ = ["verify"]

from collections.abc import Awaitable, Callable
from functools import partial

from interlock.agents.systems.aws.database import DatabaseInstance, describe_database
from interlock.agents.systems.aws.firewall import find_security_group, ingress_rules
from interlock.agents.systems.aws.keys import alias_of, find_key
from interlock.agents.systems.aws.network import find_network
from interlock.agents.systems.aws.parameters import forces_tls, read_parameter, tls_parameter
from interlock.agents.systems.aws.reading import together
from interlock.agents.systems.aws.secrets import SecretStore
from interlock.agents.systems.aws.session import Aws
from interlock.protocol.errors import PermanentError, TransientError
from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec
from interlock.protocol.values import CheckResult, CheckVerdict, Environment

Finding = tuple[CheckVerdict, str]
Reading = Callable[[Aws, DatabaseSpec, DatabaseInstance], Awaitable[Finding]]


async def verify(aws: Aws, spec: DatabaseSpec) -> tuple[CheckResult, ...]:
    """Return one result per property; unknown, with the reason, where AWS could not be read."""
    try:
        instance = await describe_database(aws, spec.identifier)
    except (PermanentError, TransientError) as error:
        return (_result("instance", "The database exists", CheckVerdict.UNKNOWN, str(error)),)
    if instance is None:
        missing = f"DescribeDBInstances knows no {spec.identifier} in {aws.region}"
        return (_result("instance", "The database exists", CheckVerdict.FAIL, missing),)
    results = [_result("instance", "The database exists", *_available(instance)), *_plain_checks(spec, instance)]
    findings = await together([partial(_found, read, aws, spec, instance) for _, _, read in _READINGS])
    results += [
        _result(identifier, title, *finding)
        for (identifier, title, _), finding in zip(_READINGS, findings, strict=True)
    ]
    return tuple(results)


async def _found(read: Reading, aws: Aws, spec: DatabaseSpec, instance: DatabaseInstance) -> Finding:
    try:
        return await read(aws, spec, instance)
    except (PermanentError, TransientError) as error:
        return CheckVerdict.UNKNOWN, str(error)


def _result(identifier: str, title: str, verdict: CheckVerdict, evidence: str) -> CheckResult:
    return CheckResult(id=identifier, title=title, verdict=verdict, evidence=evidence[:500])


def _judged(holds: bool, evidence: str) -> Finding:
    return (CheckVerdict.PASS if holds else CheckVerdict.FAIL), evidence


def _available(instance: DatabaseInstance) -> Finding:
    waiting = f", waiting for {', '.join(instance.pending)}" if instance.pending else ""
    return _judged(instance.serving, f"DBInstanceStatus {instance.status}{waiting}")


def _plain_checks(spec: DatabaseSpec, instance: DatabaseInstance) -> list[CheckResult]:
    production = spec.environment is Environment.PRODUCTION
    compared: tuple[tuple[str, str, object, object], ...] = (
        ("engine", "Engine", spec.engine.value, instance.engine),
        ("instanceClass", "Instance class", spec.instance_class, instance.instance_class),
        ("storage", "Storage in GB", spec.storage_gb, instance.storage_gb),
        ("storageType", "Storage type", spec.storage_type.value, instance.storage_type),
        ("multiAz", "Multi-AZ", spec.multi_az, instance.multi_az),
        ("backupRetention", "Days of backups", spec.backup_retention_days, instance.backup_retention_days),
        ("publiclyAccessible", "Public access", spec.publicly_accessible, instance.publicly_accessible),
        ("database", "Database name", spec.database_name, instance.database_name),
        ("deletionProtection", "Deletion protection", production, instance.deletion_protection),
    )
    checks = [
        _result(identifier, title, *_judged(wanted == found, f"specified {wanted}, AWS reports {found}"))
        for identifier, title, wanted, found in compared
    ]
    return [_result("engineVersion", "Engine version", *_version(spec, instance)), *checks]


def _version(spec: DatabaseSpec, instance: DatabaseInstance) -> Finding:
    numbers = 1 if spec.engine is DatabaseEngine.POSTGRES else 2
    wanted = spec.engine_version.split(".")[:numbers]
    same = instance.engine_version.split(".")[: len(wanted)] == wanted
    return _judged(same, f"specified {spec.engine_version}, AWS reports {instance.engine_version}")


async def _encryption(aws: Aws, spec: DatabaseSpec, instance: DatabaseInstance) -> Finding:
    if not spec.encryption_at_rest:
        return _judged(not instance.encrypted, f"specified without, StorageEncrypted is {instance.encrypted}")
    alias = alias_of(spec.environment)
    key = await find_key(aws, alias)
    holds = instance.encrypted and key is not None and instance.kms_key in {key["Arn"], key["KeyId"]}
    return _judged(holds, f"StorageEncrypted is {instance.encrypted}, {alias} is {'' if holds else 'not '}its key")


async def _private(aws: Aws, spec: DatabaseSpec, instance: DatabaseInstance) -> Finding:
    network = await find_network(aws, spec.vpc)
    private = {subnet.id for subnet in network.private_subnets}
    public = sorted(set(instance.subnet_ids) - private)
    if not instance.subnet_ids:
        return CheckVerdict.UNKNOWN, f"DescribeDBInstances names no subnets for {instance.identifier}"
    # Public subnets are what a public database needs: then only the flag has to agree, which is checked on its own.
    holds = spec.publicly_accessible or not (public or instance.publicly_accessible)
    routes = f"route to the internet from {', '.join(public)}" if public else "no route to an internet gateway"
    where = f"{len(instance.subnet_ids)} subnets of {network.name}, {routes}"
    return _judged(holds, f"PubliclyAccessible is {instance.publicly_accessible}; {where}")


async def _tls(aws: Aws, spec: DatabaseSpec, instance: DatabaseInstance) -> Finding:
    if instance.parameter_group is None:
        return CheckVerdict.UNKNOWN, f"DescribeDBInstances names no parameter group for {instance.identifier}"
    parameter, _ = tls_parameter(spec.engine, required=True)
    value = await read_parameter(aws, instance.parameter_group, parameter)
    evidence = f"{parameter} is {value or 'not set'} in {instance.parameter_group}"
    if not instance.parameters_in_sync:
        return CheckVerdict.FAIL, f"{evidence}, not yet in force: reboot the instance"
    return _judged(forces_tls(value) or not spec.encryption_in_transit, evidence)


async def _firewall(aws: Aws, spec: DatabaseSpec, instance: DatabaseInstance) -> Finding:
    network = await find_network(aws, spec.vpc)
    group = await find_security_group(aws, spec.security_group, vpc_id=network.id)
    if group is None:
        return CheckVerdict.FAIL, f"{network.name} has no security group {spec.security_group}"
    if instance.security_group_ids != (group["GroupId"],):
        return CheckVerdict.FAIL, f"the instance uses {', '.join(instance.security_group_ids)}, not {group['GroupId']}"
    rules = ingress_rules(group)
    return _judged(
        rules == (f"tcp/{spec.port} from {network.cidr}",), f"{spec.security_group} admits {', '.join(rules)}"
    )


async def _secret(aws: Aws, spec: DatabaseSpec, instance: DatabaseInstance) -> Finding:
    credentials = await SecretStore(aws).read(spec.secret_name)
    if credentials is None:
        return CheckVerdict.FAIL, f"secret {spec.secret_name} does not exist"
    points = (credentials.host, credentials.port) == (instance.endpoint, instance.port)
    names = credentials.dbname == spec.database_name and credentials.username == instance.username
    return _judged(
        points and names, f"{spec.secret_name} {'names' if points and names else 'does not name'} this database"
    )


_READINGS: tuple[tuple[str, str, Reading], ...] = (
    ("encryption", "Encrypted with the customer's key", _encryption),
    ("private", "Reachable from private subnets only", _private),
    ("parameterGroupForcesTls", "Connections without TLS are refused", _tls),
    ("securityGroup", "The database port is open to the VPC only", _firewall),
    ("secret", "Credentials are in the secret", _secret),
)
