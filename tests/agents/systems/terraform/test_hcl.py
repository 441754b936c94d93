"""Values never become expressions, whatever they hold, and the writer's form is `terraform fmt`'s."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.agents.systems.terraform import Terraform
from interlock.agents.systems.terraform.hcl import Block, Call, Expression, Reference, Template, write
from interlock.protocol.errors import UsageError

HOSTILE = (
    '${file("/etc/passwd")}',
    "%{ if true }yes%{ endif }",
    "$${x}",
    "$$${1 + 1}",
    "%%{x}",
    'quote " backslash \\ end \\',
    "two\nlines\r\t",
    '"\n}\nresource "null_resource" "evil" {}\n#',
    "trailing $",
    "${",
    "EOT",
    "\u2028\u2029",
    "데이터베이스",
    "",
)


async def test_terraform_reads_back_every_hostile_text_exactly(terraform: Terraform, tmp_path: Path) -> None:
    outputs = (Block("output", f"o{i}", attributes={"value": text}) for i, text in enumerate(HOSTILE))
    await _apply(terraform, tmp_path, write(*outputs))
    assert await terraform.output(tmp_path) == {f"o{i}": text for i, text in enumerate(HOSTILE)}


async def test_text_in_front_of_a_reference_cannot_turn_it_into_text(terraform: Terraform, tmp_path: Path) -> None:
    reference = Reference("local.x")
    code = write(
        Block("locals", attributes={"x": "in"}),
        Block("output", "dollar", attributes={"value": Template("a$", reference, "%")}),
        Block("output", "split", attributes={"value": Template("a$", "{local.x}")}),
    )
    await _apply(terraform, tmp_path, code)
    assert await terraform.output(tmp_path) == {"dollar": "a$in%", "split": "a${local.x}"}


async def test_every_form_is_already_formatted(terraform: Terraform, tmp_path: Path) -> None:
    tall: Expression = {"short": 1, "much_longer": Reference("a.b"), "inner": {"x": ["y", Reference("c.d[0].e")]}}
    code = write(
        Block("terraform"),
        Block("empty", "labelled"),
        Block(
            "resource",
            "kind",
            "name",
            attributes={"a": 1, "longer": True, "tags": tall, "after": Call("jsonencode", tall), "z": -3},
            blocks=(Block("lifecycle", attributes={"prevent_destroy": False}), Block("empty")),
        ),
    )
    (tmp_path / "main.tf").write_text(code)
    assert await terraform.fmt_check(tmp_path) == ()


@pytest.mark.parametrize("address", ["", "a b", 'file("x")', "a.b}", "${a}", "a.b\n", 'a["b\'"]', "1.a"])
def test_only_a_traversal_is_a_reference(address: str) -> None:
    with pytest.raises(UsageError, match="is not a reference"):
        Reference(address)


def test_names_that_hcl_does_not_allow_are_refused() -> None:
    with pytest.raises(UsageError, match="is not a name"):
        write(Block("output", "x", attributes={"value = 1\n}": 1}))


async def _apply(terraform: Terraform, directory: Path, code: str) -> None:
    (directory / "main.tf").write_text(code, encoding="utf-8")
    await terraform.init(directory)
    plan = await terraform.plan(directory, out=directory / "plan")
    await terraform.apply(directory, file=plan.file)
