"""No snippet escapes: programs are executed by a test, settings load, commands exist."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from docs.command_lines import problem_with
from docs.snippets import ROOT
from interlock.agents.settings import Settings

DOCUMENTS = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(file for file in (ROOT / "docs").rglob("*.md") if "decisions" not in file.parts),
)
_BLOCK = re.compile(
    r"(?:<!-- (?P<name>[a-z]+: [\w.-]+) -->\n)?^```(?P<language>\w*)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE
)
_SHOWN = {"dockerfile", "json", "mermaid", "sql", "text", "yaml"}
"""What is shown to be read. JSON and YAML belong to their documents' own tests."""


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block and where it stands."""

    document: Path
    name: str | None
    language: str
    code: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}: {self.name or self.code.splitlines()[0]}"


def blocks(*languages: str) -> list[Block]:
    return [block for block in everything() if block.language in languages]


@cache
def everything() -> tuple[Block, ...]:
    return tuple(
        Block(document, match["name"], match["language"], match["code"])
        for document in DOCUMENTS
        for match in _BLOCK.finditer(document.read_text(encoding="utf-8"))
    )


@cache
def sources_of_tests() -> str:
    return "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py") if file != Path(__file__))


@pytest.mark.parametrize("block", blocks("python"), ids=str)
def test_every_program_is_named_and_its_document_executed_by_a_test(block: Block) -> None:
    assert block.name is not None, "put `<!-- file: NAME -->` above it, and execute it in a test"
    assert f'"{block.document.name}"' in sources_of_tests(), f"no test reads {block.document.name}"


SETTINGS = [block for block in blocks("toml") if block.name in (None, "file: interlock.toml")]


@pytest.mark.parametrize("block", SETTINGS, ids=str)
def test_settings_that_are_shown_load(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "shown.toml"
    file.write_text(block.code)

    loaded = Settings.load({"config": file})

    assert loaded != Settings.load()


@pytest.mark.parametrize("block", blocks("console", "sh", "bash", ""), ids=str)
def test_every_command_that_is_shown_exists(block: Block) -> None:
    if block.language == "" and not any(_is_ours(line) for line in block.code.splitlines()):
        return
    lines = block.code.replace("\\\n", " ").splitlines()
    problems = {line: problem for line in lines if (problem := problem_with(line)) is not None}

    assert problems == {}


def _is_ours(line: str) -> bool:
    return line.startswith(("interlock ", "make ", "deploy/", ".venv/", "venv/"))


def test_no_language_is_left_out() -> None:
    checked = {"python", "toml", "console", "sh", "bash", ""}

    assert {block.language for block in everything()} - checked - _SHOWN == set()


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("interlock validate FILE", None),
        ("interlock validat FILE", "there is no command validat"),
        ("interlock approvals grant ID --als PERSON", "there is no option --als"),
        ("make tset", "there is no target tset"),
        ("interlok tail", "there is no program interlok"),
        ("# a remark", None),
    ],
)
def test_a_mistake_in_a_command_line_is_found(line: str, problem: str | None) -> None:
    assert problem_with(line) == problem
