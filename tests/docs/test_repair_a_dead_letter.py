"""docs/how-to/repair-a-dead-letter.md, followed literally over a private RabbitMQ."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from docs.newcomer import ENVIRONMENT, PATIENCE, started
from docs.snippets import ROOT, named_blocks

pytestmark = [pytest.mark.slow, pytest.mark.rabbitmq]

PAGE = named_blocks(ROOT / "docs" / "how-to" / "repair-a-dead-letter.md")
READY = ROOT / "tests" / "fixtures" / "messages" / "infrastructure_ready.json"
INTERLOCK = (sys.executable, "-m", "interlock.agents.cli")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, content in PAGE.items():
        kind, _, file = name.partition(": ")
        if kind == "file":
            (tmp_path / file).write_text(content)
    message: dict[str, Any] = json.loads(READY.read_bytes())
    (tmp_path / "ready.json").write_text(json.dumps(message))
    message["payload"]["jiraIssue"] = "PROJ-141"
    message["payload"]["configuration"]["maxConnections"] = 10
    (tmp_path / "few.json").write_text(json.dumps(message))
    return tmp_path


async def run(folder: Path, *command: str) -> str:
    """Run a program of the page to its end; it succeeds."""
    with anyio.fail_after(PATIENCE):
        finished = await anyio.run_process(command, cwd=folder, env=ENVIRONMENT, check=False, stderr=subprocess.STDOUT)
    assert finished.returncode == 0, finished.stdout.decode()
    return finished.stdout.decode()


async def shown(folder: Path, name: str, letter: str = "") -> str:
    """Run one of the page's commands, with the letter's name as it is here, and return what it says."""
    program, *arguments = shlex.split(PAGE[f"run: {name}"])
    arguments = [letter if argument == "backend-agent/7" else argument for argument in arguments]
    assert program == "interlock"
    return await run(folder, *INTERLOCK, *arguments)


async def eventually(folder: Path, name: str, *, contains: str) -> str:
    """Repeat one of the page's commands until it says this: the agent is given its time."""
    with anyio.fail_after(PATIENCE):
        while contains not in (said := await shown(folder, name)):
            pass
    return said


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, (file, old)
    file.write_text(text.replace(old, new))


async def test_the_page_can_be_followed(folder: Path) -> None:
    peer = (sys.executable, "peer.py")
    async with started((*INTERLOCK, "broker", "up"), folder=folder, ready="Ctrl-C ends the broker"):
        async with started(peer, folder=folder, ready="taking messages"):
            await shown(folder, "send")
            listed = await eventually(folder, "list", contains="backend-agent/1")
            assert listed.startswith("1 x ValueError: invalid literal for int() with base 10: '600s'\n")
            history = await shown(folder, "show")
            assert [line.split()[0] for line in history.splitlines() if "invalid literal" in line][1:] == [
                "1",
                "2",
                "3",
            ]

        repaired = PAGE["line: peer.py"].strip()
        replace(folder / "peer.py", "seconds = int(ready.configuration.idle_timeout)", repaired)
        async with started(peer, folder=folder, ready="taking messages"):
            assert "1 would be given to retry; nothing was done" in await shown(folder, "look")
            assert await shown(folder, "retry") == "backend-agent/1  retried\n"
            handled = await eventually(folder, "show", contains="is handled")
            assert "dana  retry  durations have a unit" in handled

            await shown(folder, "few")
            why = await eventually(folder, "why", contains="10 connections are too few for 3 replicas")
            letter = why.split()[-1]
            edited = await shown(folder, "edit", letter=letter)
            assert '-    "maxConnections": 10,\n+    "maxConnections": 100,\n' in edited
            assert re.search(rf"{letter}  edited as message [0-9a-f-]{{36}}\n", edited)
            await eventually(folder, "list", contains="there are no dead letters")

            await run(folder, sys.executable, "devops.py")
            parked = await eventually(folder, "parked", contains="backend-agent/parked:")
            assert parked.startswith("1 x version: this type is known in versions [1] (unknown_version)\n")

        replace(
            folder / "peer.py",
            "from interlock.protocol",
            "from newer import InfrastructureReadyForReplicas\nfrom interlock.protocol",
        )
        replace(
            folder / "peer.py",
            "ready: InfrastructureReady,",
            "ready: InfrastructureReady | InfrastructureReadyForReplicas,",
        )
        async with started(peer, folder=folder, ready="taking messages"):
            assert re.fullmatch(r"backend-agent/parked:[0-9a-f]{12}  retried\n", await shown(folder, "all"))
            assert "there are no dead letters" in await shown(folder, "list")
        assert await shown(folder, "list") == "there are no dead letters\n", "beside an agent that does not run"
