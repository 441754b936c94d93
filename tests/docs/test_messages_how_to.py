"""How to add and to evolve a message: the pages' own files and commands, in a folder of somebody else's package."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Generator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from docs.snippets import ROOT, named_blocks
from interlock.agents.testing import AgentTester
from interlock.protocol.compatibility import changes
from interlock.protocol.contract import Contracts

ADD = named_blocks(ROOT / "docs" / "how-to" / "add-a-message.md")
EVOLVE = named_blocks(ROOT / "docs" / "how-to" / "evolve-a-message.md")


@pytest.fixture
def folder(tmp_path: Path) -> Generator[Path]:
    """What an installer leaves of the first page's package: its modules and its metadata."""
    package = tmp_path / "tape_robot"
    package.mkdir()
    for name in ("messages.py", "agent.py"):
        (package / name).write_text(ADD[f"file: {name}"])
    (points,) = re.findall(r'(?s)\[project\.entry-points\."interlock\.messages"\]\n(.+)', ADD["file: pyproject.toml"])
    metadata = tmp_path / "tape_robot-1.0.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tape-robot\nVersion: 1.0.0\n")
    (metadata / "entry_points.txt").write_text(f"[interlock.messages]\n{points}".replace('"', ""))
    (tmp_path / "mount.json").write_text(ADD["file: mount.json"])
    yield tmp_path
    for name in [name for name, module in sys.modules.items() if _stands_in(tmp_path, module)]:
        del sys.modules[name]  # another test may import one of this name


def _stands_in(folder: Path, module: ModuleType) -> bool:
    return str(getattr(module, "__file__", "")).startswith(f"{folder}/")


def commands(folder: Path, block: str) -> str:
    """Run the commands of a page; return what they said."""
    said = ""
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "interlock"
        done = subprocess.run(
            [sys.executable, "-m", "interlock.agents.cli", *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said += done.stdout
    return said


def test_a_message_is_added_as_the_page_says(folder: Path) -> None:
    said = commands(folder, ADD["run: look"])

    assert "mount.json: ok: tape_mount_request v1, devops-agent -> tape-agent" in said
    assert "compatible with 1.0.0" in said
    assert {path.name for path in (folder / "schemas").glob("*.json")} >= {"asyncapi.json", "tape_mounted.v1.json"}
    assert (folder / "messages.md").read_text().startswith("# Messages of tape-robot")


def test_the_pages_package_is_the_one_that_the_tests_install() -> None:
    installed = ROOT / "tests" / "fixtures" / "third_party" / "tape_robot" / "messages.py"

    assert installed.read_text() == ADD["file: messages.py"]


async def test_the_first_pages_agent_answers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(folder))
    robot, said = import_module("tape_robot.agent"), import_module("tape_robot.messages")

    async with AgentTester(robot.tapes) as tester:
        assert await tester.receives(said.TapeMountRequest(jira_issue="PROJ-140", slot=7)) == [
            said.TapeMounted(slot=7, drive="drive-1")
        ]


async def test_a_message_is_evolved_as_the_page_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("messages.py", "agent.py"):
        (folder / name).write_text(EVOLVE[f"file: {name}"])
    monkeypatch.syspath_prepend(str(folder))
    messages, agent = import_module("messages"), import_module("agent")

    async with AgentTester(agent.accountant) as tester:
        await tester.receives(messages.DiskCleaned(freed_megabytes=2))
        await tester.receives(messages.DiskCleanedBytes(freed_bytes=3))
        assert await tester.dead() == ()

    assert agent.freed == [2_097_152, 3]


def test_a_release_is_made_as_the_page_says(folder: Path) -> None:
    commands(folder, EVOLVE["run: release"])

    released = Contracts.parse("1.1.0", (folder / "schemas" / "released" / "1.1.0.jsonl").read_bytes())
    assert [contract.type for contract in released] == ["tape_mount_request", "tape_mounted"]
    assert changes(released, released) == ()
