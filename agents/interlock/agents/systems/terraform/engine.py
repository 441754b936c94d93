"""Provisioning by Terraform: what was planned, hashed and approved is the very file that is applied.

It knows no approval and no message, and nothing of AWS beyond what the rendered code says.
"""

from __future__ import annotations

__all__ = ["Availability", "RenderCode", "TerraformEngine"]

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

import anyio

from interlock.agents.systems.provisioning import Plan, PlanStaleError, Reconciliation, digest_of
from interlock.agents.systems.terraform.changes import applied_resources, changes_of
from interlock.agents.systems.terraform.cli import Terraform
from interlock.agents.systems.terraform.diagnostics import TerraformError
from interlock.agents.systems.terraform.rendering import render
from interlock.agents.systems.terraform.verification import verify_database
from interlock.protocol.errors import PermanentError, TransientError, UsageError
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.messages.provisioning import AppliedResource
from interlock.protocol.values import CheckResult

_STALE = ("Saved plan is stale", "Saved plan does not match the given state")


class RenderCode(Protocol):
    """Writes a specification as the files of a root module; pure."""

    def __call__(self, spec: DatabaseSpec, /, *, issue: str) -> Mapping[str, str]:
        """Return the code by file name."""
        ...


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether Terraform can provision here, and if not, why."""

    available: bool
    reason: str


class TerraformEngine:
    """A ProvisioningEngine with one work directory per environment and database, under `directory`.

    Terraform's saved plans differ from run to run, even of one plan. So each is kept under its digest, and a plan
    that says the same about the same state is answered with the bytes that were kept for it.
    """

    def __init__(self, terraform: Terraform, *, directory: Path, render: RenderCode = render) -> None:
        self._terraform = terraform
        self._directory = directory
        self._render = render
        self._locks: defaultdict[Path, anyio.Lock] = defaultdict(anyio.Lock)

    def __repr__(self) -> str:
        return f"TerraformEngine({self._terraform!r}, directory={str(self._directory)!r})"

    @property
    def name(self) -> str:
        """`terraform`."""
        return "terraform"

    async def provider_available(self, spec: DatabaseSpec, *, issue: str, deadline: float = 30.0) -> Availability:
        """Try to install the providers that the code needs, within `deadline` seconds; the state is not touched."""
        work = self._directory / "availability" / spec.identifier
        async with self._locks[work]:
            await _write(work, self._render(spec, issue=issue))
            try:
                version = await self._terraform.version()
                await self._terraform.init(work, backend=False, deadline=deadline)
            except (TerraformError, TransientError, UsageError) as error:
                return Availability(available=False, reason=str(error))
        return Availability(available=True, reason=f"Terraform {version} has every provider that the code needs")

    async def plan(self, spec: DatabaseSpec, *, issue: str) -> Plan:
        """Render, check, and plan; see ProvisioningEngine.

        Raises TerraformError with file and line for code or an answer of the provider that is wrong.
        """
        code = self._render(spec, issue=issue)
        work = self._work(spec)
        async with self._locks[work]:
            await self._prepare(work, code)
            findings = tuple(f"terraform fmt would change {file}" for file in await self._terraform.fmt_check(work))
            await self._terraform.validate(work)
            document, shown = await self._plan_once(work, code)
        return Plan(
            engine=self.name, spec=spec, document=document, changes=changes_of(shown), code=code, findings=findings
        )

    async def apply(self, plan: Plan, *, approved_digest: str, issue: str) -> tuple[AppliedResource, ...]:
        """Apply the plan's exact bytes; see ProvisioningEngine. `issue` is in the plan already, as a tag."""
        if plan.digest != approved_digest:
            raise PermanentError(
                f"{issue}: approved was {approved_digest}, the plan at hand is {plan.digest}; nothing was applied"
            )
        work = self._work(plan.spec)
        async with self._locks[work]:
            await self._prepare(work, plan.code)
            file = await _kept(work, plan.document)
            try:
                await self._terraform.apply(work, file=file)
            except TerraformError as error:
                if any(error.says(summary) for summary in _STALE):
                    raise await self._stale(work, plan) from error
                raise
            return applied_resources(await self._terraform.show(work))

    async def reconcile(self, plan: Plan) -> Reconciliation:
        """Plan the same code again and see what of it is left to do."""
        work = self._work(plan.spec)
        async with self._locks[work]:
            await self._prepare(work, plan.code)
            _, shown = await self._look(work)
        outstanding = tuple(change.address for change in changes_of(shown) if change.action != "none")
        planned = {change.address for change in plan.changes if change.action != "none"}
        if not outstanding:
            return Reconciliation("applied", ())
        return Reconciliation("not_applied" if planned <= set(outstanding) else "partly_applied", outstanding)

    async def verify(self, spec: DatabaseSpec) -> tuple[CheckResult, ...]:
        """Refresh what was last applied from here, and compare every property; unknown where there is nothing."""
        work = self._work(spec)
        if not await anyio.Path(work / "plans").exists():
            return verify_database(spec, {}, outstanding=None)
        async with self._locks[work]:
            _, shown = await self._look(work)
        outstanding = tuple(change.address for change in changes_of(shown) if change.action != "none")
        return verify_database(spec, shown.get("prior_state", {}), outstanding=outstanding)

    def _work(self, spec: DatabaseSpec) -> Path:
        return self._directory / spec.environment.value / spec.identifier

    async def _prepare(self, work: Path, code: Mapping[str, str]) -> None:
        await _write(work, code)
        await self._terraform.init(work)

    async def _plan_once(self, work: Path, code: Mapping[str, str]) -> tuple[bytes, Mapping[str, Any]]:
        document, shown = await self._look(work)
        lineage, serial = await self._terraform.state_version(work)
        statement = {
            "code": dict(code),
            "plan": {name: value for name, value in shown.items() if name != "timestamp"},
            "state": [lineage, serial],
        }
        meaning = digest_of(json.dumps(statement, sort_keys=True).encode()).removeprefix("sha256:")
        index = anyio.Path(work / "plans" / f"{meaning}.same")
        if await index.exists():
            kept = anyio.Path(_file(work, await index.read_text()))
            if await kept.exists():
                return await kept.read_bytes(), shown
        await _kept(work, document)
        await index.write_text(digest_of(document))
        return document, shown

    async def _look(self, work: Path) -> tuple[bytes, Mapping[str, Any]]:
        """Plan into a file that is gone afterwards; return its bytes and what it says."""
        file = anyio.Path(work / "plans" / f"{uuid4().hex}.look")
        try:
            await self._terraform.plan(work, out=Path(file))
            return await file.read_bytes(), await self._terraform.show(work, file=Path(file))
        finally:
            with anyio.CancelScope(shield=True):
                await file.unlink(missing_ok=True)

    async def _stale(self, work: Path, plan: Plan) -> PlanStaleError:
        document, shown = await self._plan_once(work, plan.code)
        diff = tuple(f"{change.action} {change.address}" for change in changes_of(shown) if change.action != "none")
        return PlanStaleError(plan.digest, digest_of(document), diff or ("nothing is left to change",))


async def _write(work: Path, code: Mapping[str, str]) -> None:
    """Make the directory hold exactly this code."""
    directory = anyio.Path(work)
    await directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    await (directory / "plans").mkdir(mode=0o700, exist_ok=True)
    async for file in directory.glob("*.tf"):
        if file.name not in code:
            await file.unlink()
    for name, text in code.items():
        await (directory / name).write_text(text, encoding="utf-8")


async def _kept(work: Path, document: bytes) -> Path:
    """Return the file that holds these bytes, hashed again. Raises PermanentError when it holds others."""
    digest = digest_of(document)
    file = _file(work, digest)
    kept = anyio.Path(file)
    if not await kept.exists():
        await kept.touch(mode=0o600)
        await kept.write_bytes(document)
    if digest_of(await kept.read_bytes()) != digest:
        raise PermanentError(f"the saved plan {file} no longer hashes to {digest}; it was changed, so plan again")
    return file


def _file(work: Path, digest: str) -> Path:
    return work / "plans" / f"{digest.removeprefix('sha256:')}.tfplan"
