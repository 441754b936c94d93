"""Code and plans of one change as files, so that author, reviewer and executor read the very same bytes."""

from __future__ import annotations

__all__ = ["PlanBundle"]

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter, ValidationError

from interlock.agents.systems.provisioning import Plan
from interlock.protocol.errors import PermanentError
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.messages.provisioning import ResourceChange
from interlock.protocol.values import Environment

_CHANGES = TypeAdapter(tuple[ResourceChange, ...])


@dataclass(frozen=True, slots=True)
class PlanBundle:
    """The plans of one revision, by environment."""

    plans: Mapping[Environment, Plan]

    @property
    def target(self) -> Plan:
        """The plan that the change is about: not its rehearsal."""
        return next((p for e, p in self.plans.items() if e is not Environment.TEST), next(iter(self.plans.values())))

    def files(self) -> dict[str, bytes]:
        """Return the bundle as files below one folder per environment."""
        files: dict[str, bytes] = {}
        for environment, plan in self.plans.items():
            files[f"{environment}/spec.json"] = plan.spec.model_dump_json(by_alias=True).encode()
            files[f"{environment}/changes.json"] = _CHANGES.dump_json(plan.changes, by_alias=True)
            files[f"{environment}/engine.json"] = json.dumps(
                {"engine": plan.engine, "findings": list(plan.findings)}
            ).encode()
            files[f"{environment}/plan"] = plan.document
            files.update({f"{environment}/code/{name}": text.encode() for name, text in plan.code.items()})
        return files

    @classmethod
    def parse(cls, files: Mapping[str, bytes]) -> PlanBundle:
        """Return the bundle that these files hold. Raises PermanentError when they hold none."""
        environments = sorted({name.split("/", 1)[0] for name in files})
        try:
            return cls({Environment(name): _plan(name, files) for name in environments})
        except (KeyError, ValueError, ValidationError) as error:
            raise PermanentError(f"the revision is not a bundle of plans: {type(error).__name__} in {error}") from error


def _plan(environment: str, files: Mapping[str, bytes]) -> Plan:
    about = json.loads(files[f"{environment}/engine.json"])
    prefix = f"{environment}/code/"
    return Plan(
        engine=about["engine"],
        spec=DatabaseSpec.model_validate_json(files[f"{environment}/spec.json"], by_alias=True),
        document=files[f"{environment}/plan"],
        changes=_CHANGES.validate_json(files[f"{environment}/changes.json"], by_alias=True),
        code={name.removeprefix(prefix): body.decode() for name, body in files.items() if name.startswith(prefix)},
        findings=tuple(about["findings"]),
    )
