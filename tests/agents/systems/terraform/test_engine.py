"""The real Terraform from plan to apply, stale, killed and drifted, on a module that needs no provider."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import anyio
import pytest

from interlock.agents.systems.provisioning import Plan, PlanStaleError, Reconciliation
from interlock.agents.systems.terraform import Terraform, TerraformEngine, TerraformError
from interlock.agents.systems.terraform.hcl import Block, Expression, Reference, write
from interlock.protocol.errors import PermanentError, UnknownOutcomeError, UsageError
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.values import CheckVerdict

CANARY = "canary-5f1c9e"


class Module:
    """Renders one `terraform_data` named after the environment, whose content a test may change."""

    def __init__(self, **content: Expression) -> None:
        self.content = content
        self.blocks: tuple[Block, ...] = ()
        self.triggers: list[Expression] = ["first"]

    def __call__(self, spec: DatabaseSpec, /, *, issue: str) -> Mapping[str, str]:
        attributes: dict[str, Expression] = {
            "triggers_replace": self.triggers,
            "input": {"size": spec.storage_gb, "issue": issue, **self.content},
        }
        database = Block(
            "resource", "terraform_data", spec.environment.value, attributes=attributes, blocks=self.blocks
        )
        return {"main.tf": write(database)}


@pytest.fixture
def module() -> Module:
    return Module()


@pytest.fixture
def engine(terraform: Terraform, module: Module, tmp_path: Path) -> TerraformEngine:
    return TerraformEngine(terraform, directory=tmp_path, render=module)


async def test_what_was_planned_is_applied_and_read_back(engine: TerraformEngine, spec: DatabaseSpec) -> None:
    plan = await engine.plan(spec, issue="PROJ-140")
    assert [(change.address, change.action) for change in plan.changes] == [("terraform_data.production", "create")]
    assert await engine.reconcile(plan) == _reconciliation("not_applied", "terraform_data.production")

    (resource,) = await engine.apply(plan, approved_digest=plan.digest, issue="PROJ-140")

    assert resource.address == "terraform_data.production"
    assert '"size": 100' in resource.properties["output"]
    assert (await engine.reconcile(plan)).outcome == "applied"
    assert (await engine.plan(spec, issue="PROJ-140")).count("create", "update", "replace", "destroy") == 0


async def test_the_same_world_gives_the_same_bytes_and_another_world_others(
    engine: TerraformEngine, spec: DatabaseSpec
) -> None:
    first = await engine.plan(spec, issue="PROJ-140")
    again = await engine.plan(spec, issue="PROJ-140")
    larger = await engine.plan(spec.model_copy(update={"storage_gb": 200}), issue="PROJ-140")
    assert first.digest == again.digest
    assert larger.digest != first.digest


async def test_nothing_is_applied_but_the_approved_bytes(
    engine: TerraformEngine, spec: DatabaseSpec, tmp_path: Path
) -> None:
    plan = await engine.plan(spec, issue="PROJ-140")
    with pytest.raises(PermanentError, match="nothing was applied"):
        await engine.apply(plan, approved_digest="sha256:" + "0" * 64, issue="PROJ-140")

    (saved,) = [file async for file in anyio.Path(tmp_path).rglob("*.tfplan")]
    assert (await saved.stat()).st_mode & 0o077 == 0
    await saved.write_bytes(b"something else")
    with pytest.raises(PermanentError, match="no longer hashes"):
        await engine.apply(plan, approved_digest=plan.digest, issue="PROJ-140")
    assert (await engine.reconcile(plan)).outcome == "not_applied"


async def test_a_plan_whose_world_has_moved_on_is_stale(engine: TerraformEngine, spec: DatabaseSpec) -> None:
    old = await engine.plan(spec, issue="PROJ-140")
    new = await engine.plan(spec.model_copy(update={"storage_gb": 200}), issue="PROJ-140")
    await engine.apply(new, approved_digest=new.digest, issue="PROJ-140")

    with pytest.raises(PlanStaleError) as stale:
        await engine.apply(old, approved_digest=old.digest, issue="PROJ-140")

    assert stale.value.planned == old.digest
    assert stale.value.diff == ("update terraform_data.production",)


@pytest.mark.parametrize("create_first", [True, False])
async def test_either_order_of_replacement_counts_as_one(
    engine: TerraformEngine, module: Module, spec: DatabaseSpec, create_first: bool
) -> None:
    if create_first:
        module.blocks = (Block("lifecycle", attributes={"create_before_destroy": True}),)
    first = await engine.plan(spec, issue="PROJ-140")
    await engine.apply(first, approved_digest=first.digest, issue="PROJ-140")
    module.triggers = ["second"]
    assert (await engine.plan(spec, issue="PROJ-140")).count("replace") == 1


async def test_an_apply_that_is_killed_half_way_is_unknown_and_reconciled_by_looking(
    engine: TerraformEngine, module: Module, spec: DatabaseSpec, tmp_path: Path
) -> None:
    started = _blocked(module, tmp_path)
    plan = await engine.plan(spec, issue="PROJ-140")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_kill_the_writer_of, started)
        with pytest.raises(UnknownOutcomeError, match="ended by signal 9"):
            await engine.apply(plan, approved_digest=plan.digest, issue="PROJ-140")

    assert (await engine.reconcile(plan)).outcome == "not_applied"


async def test_an_apply_that_fails_after_it_began_is_unknown(
    engine: TerraformEngine, module: Module, spec: DatabaseSpec
) -> None:
    module.blocks = (Block("provisioner", "local-exec", attributes={"command": "exit 3"}),)
    plan = await engine.plan(spec, issue="PROJ-140")
    with pytest.raises(UnknownOutcomeError, match="it had begun"):
        await engine.apply(plan, approved_digest=plan.digest, issue="PROJ-140")


async def test_cancelling_an_apply_ends_terraform_and_its_children(
    engine: TerraformEngine, module: Module, spec: DatabaseSpec, tmp_path: Path
) -> None:
    started = _blocked(module, tmp_path)
    plan = await engine.plan(spec, issue="PROJ-140")
    pids: list[int] = []

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_apply, engine, plan)
        pids.append(int(await anyio.Path(started).read_text()))
        tasks.cancel_scope.cancel()

    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


async def test_a_change_behind_the_codes_back_is_drift(
    engine: TerraformEngine, terraform: Terraform, spec: DatabaseSpec, tmp_path: Path
) -> None:
    plan = await engine.plan(spec, issue="PROJ-140")
    await engine.apply(plan, approved_digest=plan.digest, issue="PROJ-140")
    work = tmp_path / "production" / spec.identifier
    assert await terraform.drift(work) == ()

    (work / "terraform.tfstate").unlink()

    assert await terraform.drift(work) == ("terraform_data.production",)
    drift, *properties = await engine.verify(spec)
    assert drift.verdict is CheckVerdict.FAIL
    assert {check.verdict for check in properties} == {CheckVerdict.UNKNOWN}


async def test_what_was_never_planned_here_is_unknown(engine: TerraformEngine, spec: DatabaseSpec) -> None:
    assert {check.verdict for check in await engine.verify(spec)} == {CheckVerdict.UNKNOWN}


async def test_sensitive_values_never_leave(terraform: Terraform, spec: DatabaseSpec, tmp_path: Path) -> None:
    def secretive(spec: DatabaseSpec, /, *, issue: str) -> Mapping[str, str]:
        return {
            "main.tf": write(
                Block("variable", "password", attributes={"default": CANARY, "sensitive": True}),
                Block("resource", "terraform_data", "x", attributes={"input": {"nested": Reference("var.password")}}),
            )
        }

    engine = TerraformEngine(terraform, directory=tmp_path, render=secretive)
    plan = await engine.plan(spec, issue="PROJ-140")
    applied = await engine.apply(plan, approved_digest=plan.digest, issue="PROJ-140")
    assert CANARY not in repr((plan.changes, plan.findings, applied))
    assert "(sensitive)" in repr(plan.changes)


async def test_wrong_code_is_reported_with_file_and_line(
    engine: TerraformEngine, module: Module, spec: DatabaseSpec
) -> None:
    module.blocks = (Block("lifecycle", attributes={"no_such_thing": 1}),)
    with pytest.raises(TerraformError, match=r"Unsupported argument \(main\.tf:\d+\)"):
        await engine.plan(spec, issue="PROJ-140")


async def test_a_missing_provider_is_a_reason_and_no_crash(
    terraform: Terraform, spec: DatabaseSpec, tmp_path: Path
) -> None:
    bare = Terraform(plugin_dir=tmp_path)
    availability = await TerraformEngine(bare, directory=tmp_path / "work").provider_available(spec, issue="PROJ-140")
    assert not availability.available
    assert "terraform init failed" in availability.reason


async def test_a_missing_program_says_what_to_install(tmp_path: Path) -> None:
    missing = Terraform(str(tmp_path / "no-terraform"))
    assert not missing.available()
    with pytest.raises(UsageError, match=r"install Terraform 1\.11"):
        await missing.version()


def _blocked(module: Module, directory: Path) -> Path:
    """Make the next apply write Terraform's process id into a pipe, and then wait for ever at another."""
    started, never = directory / "started", directory / "never"
    os.mkfifo(started)
    os.mkfifo(never)
    command = f"echo $PPID > {started}; cat {never}"
    module.blocks = (Block("provisioner", "local-exec", attributes={"command": command}),)
    return started


async def _kill_the_writer_of(pipe: Path) -> None:
    os.kill(int(await anyio.Path(pipe).read_text()), signal.SIGKILL)


async def _apply(engine: TerraformEngine, plan: Plan) -> None:
    await engine.apply(plan, approved_digest=plan.digest, issue="PROJ-140")


def _reconciliation(outcome: Literal["applied", "partly_applied", "not_applied"], *outstanding: str) -> Reconciliation:
    return Reconciliation(outcome, outstanding)
