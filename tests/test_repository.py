"""What surrounds the code: the commands that the README promises, and a pipeline that runs the same ones."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=30
    )


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_alone_says_what_there_is() -> None:
    listed = run("make", "--no-print-directory")

    assert listed.returncode == 0
    assert {line.split()[1] for line in listed.stdout.splitlines()} >= {"help", "demo", "test", "check", "bench"}


@pytest.mark.parametrize(
    "script", sorted([*ROOT.glob("deploy/*.sh"), ROOT / ".ci" / "run"]), ids=lambda path: path.name
)
def test_each_script_is_valid_bash(script: Path) -> None:
    parsed = run("bash", "-n", str(script))

    assert parsed.returncode == 0, parsed.stderr


def test_without_a_recent_python_the_set_up_says_what_is_needed(tmp_path: Path) -> None:
    for name in ("bash", "dirname"):
        (tmp_path / name).symlink_to(shutil.which(name) or name)
    old = tmp_path / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    refused = run("bash", "deploy/make-venv.sh", str(tmp_path / "venv"), PATH=str(tmp_path), PYTHON="")

    assert refused.returncode == 1
    assert "Python 3.11 or later is needed" in refused.stderr
    assert not (tmp_path / "venv").exists()


def test_every_action_of_the_pipeline_is_pinned_to_a_commit_and_names_its_release() -> None:
    uses = re.findall(r"uses: (.+)", WORKFLOW.read_text())

    assert uses
    assert [action for action in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action)] == []


def test_the_pipeline_runs_the_same_commands_as_the_local_one_and_builds_the_image() -> None:
    tests, _, image = WORKFLOW.read_text().partition("\n  image:\n")
    local = re.findall(r"(?m)^(make .+)", (ROOT / ".ci" / "run").read_text())

    assert re.findall(r"(?m)^ +run: (.+)", tests) == local == ["make check", "make test"]
    assert re.findall(r"(?m)^ +run: (\S+)", image) == ["deploy/image/build.sh", "docker"]


def test_the_pipeline_may_only_read_and_cannot_run_forever() -> None:
    workflow = WORKFLOW.read_text()

    assert "permissions:\n  contents: read\n" in workflow
    assert "timeout-minutes:" in workflow
    assert "concurrency:" in workflow


def test_every_changelog_fragment_belongs_to_an_issue_and_has_a_known_kind() -> None:
    kinds = re.findall(r"(?m)^\| `(\w+)` \|", (ROOT / "changelog.d" / "README.md").read_text())
    fragments = [path for path in (ROOT / "changelog.d").iterdir() if path.name != "README.md"]

    assert [path.name for path in fragments if not re.fullmatch(rf"\d+\.({'|'.join(kinds)})\.md", path.name)] == []
    assert all(path.read_text().strip() for path in fragments)


@pytest.mark.parametrize(
    "document",
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("changelog.d/*.md")],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_every_link_inside_the_repository_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", document.read_text())

    assert [link for link in links if not (document.parent / link).exists()] == []
