"""Judges a plan by the security lines of the infrastructure checklist; a pure function of what the plan says."""

from __future__ import annotations

__all__ = ["review_plan"]

from collections.abc import Iterator, Sequence

from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec
from interlock.protocol.messages.provisioning import PropertyChange, ResourceChange
from interlock.protocol.values import CheckResult, CheckVerdict, Environment

_ANYWHERE = ("0.0.0.0/0", "::/0")
_PRODUCTION_BACKUP_DAYS = 7
_TRUE = frozenset({"1", "on", "true"})

Finding = tuple[CheckVerdict, str]


def review_plan(spec: DatabaseSpec, changes: Sequence[ResourceChange]) -> tuple[CheckResult, ...]:
    """Return K1 to K9, K14 and `destructive`, judged on a specification and the changes that a plan would make.

    Reads the plans of both engines: property names count without case and underscores. Where specification and plan
    disagree, the worse of the two is judged. Unknown is what a plan cannot show, such as network ACLs that exist
    already; the review of the real resources decides it.
    """
    plan = _PlannedProperties(changes)
    judged: tuple[tuple[str, str, Finding], ...] = (
        ("K1", "Private subnets for databases", _private(spec, plan)),
        ("K2", "Security groups (least privilege)", _least_privilege(plan)),
        ("K3", "IAM roles and policies", _access_to_secret(plan)),
        ("K4", "Encryption at rest", _at_rest(spec, plan)),
        ("K5", "Encryption in transit", _in_transit(spec, plan)),
        ("K6", "Secret management", _secret(plan)),
        ("K7", "VPC configuration", _judged(spec.vpc != "default", f"the plan places it in {spec.vpc}")),
        ("K8", "Network ACLs", (CheckVerdict.UNKNOWN, "not part of the plan; read from the real network afterwards")),
        ("K9", "Multi-AZ deployment", _multi_az(spec, plan)),
        ("K14", "Backup and restore", _backups(spec, plan)),
        ("destructive", "Nothing is destroyed", _destructive(changes)),
    )
    return tuple(
        CheckResult(id=identifier, title=title, verdict=verdict, evidence=evidence[:500])
        for identifier, title, (verdict, evidence) in judged
    )


class _PlannedProperties:
    """Looks up what a plan says about a kind of resource, in either engine's spelling."""

    def __init__(self, changes: Sequence[ResourceChange]) -> None:
        self._changes = [change for change in changes if change.action != "destroy"]

    def values(self, kind: str, *names: str) -> Iterator[str]:
        """Yield the planned values of properties whose name starts with one of `names`."""
        for change in self._changes:
            if change.address.startswith(kind):
                yield from (
                    one.after
                    for one in change.properties
                    if one.after is not None and _plain(one.name).startswith(names)
                )

    def value(self, kind: str, *names: str) -> str | None:
        """Return the first such value, in lower case."""
        found = next(self.values(kind, *names), None)
        return found.lower() if found is not None else None

    def has(self, kind: str) -> bool:
        """Return whether the plan keeps or makes such a resource."""
        return any(change.address.startswith(kind) for change in self._changes)

    def properties(self) -> Iterator[PropertyChange]:
        """Yield every property of the plan."""
        for change in self._changes:
            yield from change.properties


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def _judged(holds: bool, evidence: str) -> Finding:
    return (CheckVerdict.PASS if holds else CheckVerdict.FAIL), evidence


def _private(spec: DatabaseSpec, plan: _PlannedProperties) -> Finding:
    public = spec.publicly_accessible or plan.value("aws_db_instance.", "publiclyaccessible") in _TRUE
    if not plan.has("aws_db_subnet_group."):
        verdict = CheckVerdict.FAIL if public else CheckVerdict.UNKNOWN
        return verdict, f"publicly accessible: {public}; the plan has no subnet group"
    return _judged(not public, f"publicly accessible: {public}; placed by a subnet group of its own")


def _least_privilege(plan: _PlannedProperties) -> Finding:
    rules = [
        *plan.values("aws_security_group.", "ingress"),
        *plan.values("aws_security_group_rule.", "cidrblocks", "ipv6cidrblocks"),
        *plan.values("aws_vpc_security_group_ingress_rule.", "cidripv"),
    ]
    excess = [rule for rule in rules if any(anywhere in rule for anywhere in _ANYWHERE)]
    if excess:
        return CheckVerdict.FAIL, f"everyone is let in: {', '.join(excess)}"
    if not rules:
        return CheckVerdict.UNKNOWN, "the plan shows no inbound rule of a security group"
    return CheckVerdict.PASS, f"inbound: {', '.join(rules)}"


def _access_to_secret(plan: _PlannedProperties) -> Finding:
    reader = plan.value("aws_secretsmanager_secret.", "readableby")
    if reader is None:
        return CheckVerdict.UNKNOWN, "the plan does not show who may read the secret"
    return _judged(reader not in {"*", "other"}, f"the secret is readable by {reader}")


def _at_rest(spec: DatabaseSpec, plan: _PlannedProperties) -> Finding:
    off = plan.value("aws_db_instance.", "storageencrypted") == "false"
    off = off or plan.value("aws_db_instance.", "encryptedby") == "none"
    if off or not spec.encryption_at_rest:
        return CheckVerdict.FAIL, "the database would not be encrypted"
    if not plan.has("aws_kms_key."):
        return CheckVerdict.UNKNOWN, "encrypted, but the plan does not show the customer's key"
    return CheckVerdict.PASS, "encrypted with a customer's key that is part of the plan"


def _in_transit(spec: DatabaseSpec, plan: _PlannedProperties) -> Finding:
    parameter = "rds.force_ssl" if spec.engine is DatabaseEngine.POSTGRES else "require_secure_transport"
    planned = plan.value("aws_db_parameter_group.", _plain(parameter))
    if not spec.encryption_in_transit or (planned is not None and planned not in _TRUE):
        return CheckVerdict.FAIL, "connections without TLS would be accepted"
    if planned is None and not any(parameter in value for value in plan.values("aws_db_parameter_group.", "parameter")):
        return CheckVerdict.UNKNOWN, f"the plan does not show {parameter}"
    return CheckVerdict.PASS, f"{parameter} refuses connections without TLS"


def _secret(plan: _PlannedProperties) -> Finding:
    passwords = {"password", "masterpassword", "masteruserpassword", "passwordwo"}
    exposed = sorted({one.name for one in plan.properties() if _plain(one.name) in passwords and one.after})
    if exposed:
        return CheckVerdict.FAIL, f"the plan carries values of {', '.join(exposed)}"
    managed = plan.value("aws_db_instance.", "managemasteruserpassword") in _TRUE
    if managed or plan.has("aws_secretsmanager_secret."):
        return CheckVerdict.PASS, "credentials are kept in Secrets Manager, the plan holds none"
    return CheckVerdict.FAIL, "the plan keeps the credentials in no secret"


def _multi_az(spec: DatabaseSpec, plan: _PlannedProperties) -> Finding:
    standby = spec.multi_az and plan.value("aws_db_instance.", "multiaz") != "false"
    needed = spec.environment is Environment.PRODUCTION
    return _judged(standby or not needed, f"Multi-AZ: {standby}; needed in {spec.environment}: {needed}")


def _backups(spec: DatabaseSpec, plan: _PlannedProperties) -> Finding:
    planned = plan.value("aws_db_instance.", "backupretention")
    days = (
        min(spec.backup_retention_days, int(planned)) if planned and planned.isdigit() else spec.backup_retention_days
    )
    least = _PRODUCTION_BACKUP_DAYS if spec.environment is Environment.PRODUCTION else 1
    return _judged(days >= least, f"backups are kept for {days} days, at least {least} are needed")


def _destructive(changes: Sequence[ResourceChange]) -> Finding:
    lost = [f"{change.address} ({change.action})" for change in changes if change.action in {"destroy", "replace"}]
    return _judged(not lost, f"would be lost: {', '.join(lost)}" if lost else "nothing is replaced or destroyed")
