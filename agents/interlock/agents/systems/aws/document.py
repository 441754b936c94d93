"""The direct engine's plan as canonical bytes: the same specification and the same world give the same document."""

from __future__ import annotations

__all__ = ["PlanDocument", "PlannedResource"]

import json
from collections.abc import Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from interlock.protocol.errors import PermanentError
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.messages.provisioning import PropertyChange, ResourceChange


class PlannedResource(BaseModel):
    """One resource before and after."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    action: Literal["create", "update", "replace", "none"]
    before: Mapping[str, str] | None
    after: Mapping[str, str]

    @classmethod
    def compare(
        cls, address: str, *, before: Mapping[str, str] | None, after: Mapping[str, str], permanent: frozenset[str]
    ) -> PlannedResource:
        """Decide what has to happen: a difference in a permanent property means replacement."""
        if before is None:
            return cls(address=address, action="create", before=None, after=after)
        different = {name for name in after if before.get(name) != after[name]}
        action: Literal["update", "replace", "none"] = "none"
        if different:
            action = "replace" if different & permanent else "update"
        return cls(address=address, action=action, before=before, after=after)

    def still_allows(self, now: PlannedResource) -> bool:
        """Return whether the resource is as it was planned from, or on the way to what it was planned to be.

        An interrupted apply leaves a mixture of both; a resource that it has begun to create bears the planned tags.
        """
        if dict(self.after) != dict(now.after):
            return False
        if self.before is None and now.before is not None:
            tags = {name: value for name, value in self.after.items() if name.startswith("tags.")}
            return dict(now.before) == dict(self.after) or (bool(tags) and tags.items() <= now.before.items())
        if self.before is None or now.before is None:
            return self.before is now.before
        planned = (dict(self.before), dict(self.after))
        return all(value in {one.get(name) for one in planned} for name, value in now.before.items())

    def change(self) -> ResourceChange:
        """Return the same as a message part: every property, so that a reviewer sees also what stays."""
        before = self.before or {}
        return ResourceChange(
            address=self.address,
            action=self.action,
            properties=tuple(
                PropertyChange(name=name, before=before.get(name), after=self.after.get(name))
                for name in sorted(self.after)
            ),
        )


class PlanDocument(BaseModel):
    """Everything that the direct engine needs to apply a plan, and nothing that varies from run to run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["aws-direct"] = "aws-direct"
    format: Literal[1] = 1
    issue: str
    region: str
    spec: DatabaseSpec
    resources: tuple[PlannedResource, ...]

    def serialised(self) -> bytes:
        """Return canonical JSON: sorted keys, no spaces, UTF-8."""
        content = self.model_dump(mode="json", by_alias=True)
        return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def parse(cls, content: bytes) -> PlanDocument:
        """Read a document back. Raises PermanentError when the bytes are not one."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            raise PermanentError("the plan's bytes are not a plan of the aws-direct engine; make a new plan") from error

    def differences(self, other: PlanDocument) -> tuple[str, ...]:
        """Return, for people, in which properties the world that this plan saw differs from what `other` saw."""
        theirs = {resource.address: resource for resource in other.resources}
        lines: list[str] = []
        for mine in self.resources:
            seen = theirs.get(mine.address)
            before, now = mine.before or {}, (seen.before or {}) if seen else {}
            if bool(mine.before) != bool(now):
                lines.append(f"{mine.address}: planned as {_existence(before)}, now {_existence(now)}")
                continue
            lines += [
                f"{mine.address}.{name}: planned from {before.get(name)!r}, now {now.get(name)!r}"
                for name in sorted(before.keys() | now.keys())
                if before.get(name) != now.get(name)
            ]
            if seen and dict(mine.after) != dict(seen.after):
                lines.append(f"{mine.address}: what is wanted follows from something that has changed")
        return tuple(lines)


def _existence(properties: Mapping[str, str]) -> str:
    return "existing" if properties else "absent"
