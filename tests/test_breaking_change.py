"""A change of a message class in the source, and what the line of `make check` says to it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
(CHECK,) = re.findall(r"(?m)^\t\$\(BIN\)/interlock (schemas check .+)$", (ROOT / "Makefile").read_text())
CONNECTION = "    endpoint: HostName\n    port: Port\n"

Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what the check reads."""
    shutil.copytree(ROOT / "protocol", tmp_path / "protocol", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "schemas", tmp_path / "schemas")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "recordings").symlink_to(ROOT / "tests" / "recordings")
    return tmp_path


@pytest.fixture
def interlock(checkout: Path) -> Command:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(checkout / "protocol"), "COLUMNS": "200"}
        command = [sys.executable, "-m", "interlock.agents.cli", *arguments]
        return subprocess.run(
            command, cwd=checkout, env=environment, capture_output=True, text=True, check=False, timeout=60
        )

    return run


def change(checkout: Path, old: str, new: str) -> None:
    """Edit the messages about handing over."""
    file = checkout / "protocol" / "interlock" / "protocol" / "messages" / "handoff.py"
    source = file.read_text()
    assert source.count(old) == 1
    file.write_text(source.replace(old, new))


def test_a_breaking_change_fails_with_the_path_the_kind_and_the_recorded_conversations(
    checkout: Path, interlock: Command
) -> None:
    change(checkout, CONNECTION, CONNECTION.replace("port:", "tcp_port:"))
    assert interlock("schemas", "export", "--package", "interlock").returncode == 0

    checked = interlock(*CHECK.split())

    assert checked.returncode == 1
    told = checked.stdout.split("\ninfrastructure_ready version 1, ")[1].splitlines()
    assert told[0] == "payload.connection.port: member_renamed, it is payload.connection.tcpPort now"
    assert told[1].startswith("  backward: backend-agent cannot take in what devops-agent of 0.1.0 sent")
    assert told[2].startswith("  forward: backend-agent of 0.1.0 cannot take in what devops-agent will send")
    assert re.match(
        r"  recorded: tests/recordings/[\w-]+\.jsonl:\d+, conversation [0-9a-f-]{36} \([A-Z]+-\d+\)$", told[3]
    )
    assert re.search(r"(?m)^recordings, \d+ looked at: \d+ conversations can no longer be read$", checked.stdout)


def test_an_additive_change_passes(checkout: Path, interlock: Command) -> None:
    change(checkout, CONNECTION, f"{CONNECTION}    read_replica: HostName | None = None\n")
    assert interlock("schemas", "export", "--package", "interlock").returncode == 0

    checked = interlock(*CHECK.split())
    compared = interlock("schemas", "diff")

    assert (checked.returncode, checked.stderr) == (0, "")
    assert "infrastructure_ready version 1, payload.connection.readReplica: member_added, optional" in compared.stdout


def test_a_change_that_was_not_exported_fails_too(checkout: Path, interlock: Command) -> None:
    change(checkout, CONNECTION, f"{CONNECTION}    read_replica: HostName | None = None\n")

    checked = interlock(*CHECK.split())

    assert checked.returncode == 1
    assert "schemas/infrastructure_ready.v1.json: outdated; run 'interlock schemas export' again" in checked.stdout
