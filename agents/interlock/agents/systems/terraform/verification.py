"""The database in a Terraform state against its specification, property by property; it runs nothing."""

from __future__ import annotations

__all__ = ["verify_database"]

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from interlock.agents.systems.terraform.database import engine_release
from interlock.protocol.infrastructure import DatabaseEngine, DatabaseSpec
from interlock.protocol.values import CheckResult, CheckVerdict


def verify_database(
    spec: DatabaseSpec, state: Mapping[str, Any], *, outstanding: Sequence[str] | None
) -> tuple[CheckResult, ...]:
    """Return one check per property, and one on drift.

    `state` is a state, or a plan's refreshed prior state, of `terraform show -json`; `outstanding` the addresses that
    a fresh plan would change, None when no plan could be made. What cannot be read is unknown, never pass.
    """
    resources = tuple(_resources(state.get("values", {}).get("root_module", {})))
    instance = _values(resources, "aws_db_instance")
    expected: dict[str, tuple[str, object]] = {
        "identifier": ("Identifier", spec.identifier),
        "engine": ("Engine", spec.engine.value),
        "instance_class": ("Instance class", spec.instance_class),
        "allocated_storage": ("Storage in GB", spec.storage_gb),
        "storage_type": ("Storage type", spec.storage_type.value),
        "multi_az": ("Multi-AZ", spec.multi_az),
        "backup_retention_period": ("Backup retention in days", spec.backup_retention_days),
        "storage_encrypted": ("Encryption at rest", spec.encryption_at_rest),
        "publicly_accessible": ("Publicly accessible", spec.publicly_accessible),
        "db_name": ("Database name", spec.database_name),
        "port": ("Port", spec.port),
    }
    return (
        _drift(outstanding),
        *(_compared(name, title, wanted, instance.get(name)) for name, (title, wanted) in expected.items()),
        _version(spec, instance.get("engine_version_actual")),
        _transit(spec, _values(resources, "aws_db_parameter_group").get("parameter")),
    )


def _drift(outstanding: Sequence[str] | None) -> CheckResult:
    if outstanding is None:
        return _check("drift", "No drift", None, "no plan was made from this work directory")
    said = f"a fresh plan would change {', '.join(outstanding)}" if outstanding else "a fresh plan changes nothing"
    return _check("drift", "No drift", not outstanding, said)


def _compared(name: str, title: str, wanted: object, found: object) -> CheckResult:
    if found is None:
        return _check(name, title, None, f"the state does not say; wanted {wanted}")
    return _check(name, title, found == wanted, f"aws_db_instance.{name} is {found}, wanted {wanted}")


def _version(spec: DatabaseSpec, found: object) -> CheckResult:
    release, title = engine_release(spec), "Engine version"
    if found is None:
        return _check("engine_version", title, None, f"the state does not say; wanted {release}")
    same = f"{found}.".startswith(f"{release}.")
    return _check("engine_version", title, same, f"aws_db_instance runs {found}, wanted {release}")


def _transit(spec: DatabaseSpec, parameters: object) -> CheckResult:
    name = "rds.force_ssl" if spec.engine is DatabaseEngine.POSTGRES else "require_secure_transport"
    title, wanted = "Encryption in transit", "1" if spec.encryption_in_transit else "0"
    if isinstance(parameters, list):
        for parameter in parameters:
            if parameter["name"] == name:
                found = parameter["value"]
                return _check("encryption_in_transit", title, found == wanted, f"{name} is {found}, wanted {wanted}")
    return _check("encryption_in_transit", title, None, f"the state does not say; wanted {name} {wanted}")


def _check(name: str, title: str, verdict: bool | None, evidence: str) -> CheckResult:
    verdicts = {True: CheckVerdict.PASS, False: CheckVerdict.FAIL, None: CheckVerdict.UNKNOWN}
    return CheckResult(id=name, title=title, verdict=verdicts[verdict], evidence=evidence[:500])


def _values(resources: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    return next((item["values"] for item in resources if item["type"] == kind), {})


def _resources(module: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from module.get("resources", ())
    for child in module.get("child_modules", ()):
        yield from _resources(child)
