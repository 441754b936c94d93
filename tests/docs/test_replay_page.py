"""What the page on testing by replay says is done and shown as it says."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from docs.snippets import ROOT, named_blocks
from interlock.agents.cli.toml import render_toml
from interlock.agents.permissions import allowed_rows
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import ADMIN, VHOST, RabbitTransport, definitions
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.recording import normalised, read
from interlock.protocol.roles import ALL_ROLES, CONSOLE

PAGE = ROOT / "docs" / "how-to" / "test-by-replay.md"
SAYS = named_blocks(PAGE)
PEER = named_blocks(ROOT / "docs" / "tutorial.md")["file: peer.py"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "peer.py").write_text(PEER)
    for name in ("handover.jsonl", "test_replay.py"):
        (tmp_path / name).write_text(SAYS[f"file: {name}"])
    return tmp_path


def run(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the page with this environment's programs."""
    program, *arguments = shlex.split(SAYS[f"run: {name}"])
    command = {"venv/bin/python": [sys.executable], "interlock": [sys.executable, "-m", "interlock.agents.cli"]}
    return subprocess.run(
        [*command[program], *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_the_same_agent_passes(folder: Path) -> None:
    ran = run(folder, "test")

    assert ran.returncode == 0, ran.stdout
    assert "2 passed" in ran.stdout


def test_a_changed_agent_fails_as_shown_and_can_be_written_down(folder: Path) -> None:
    assert "POOL_SIZE, REPLICAS = 20, 3" in PEER
    (folder / "peer.py").write_text(PEER.replace("POOL_SIZE, REPLICAS = 20, 3", "POOL_SIZE, REPLICAS = 40, 2"))

    failed = run(folder, "test")
    assert failed.returncode == 1
    assert SAYS["shown: difference"] in failed.stdout

    assert run(folder, "update").returncode == 0
    assert '"poolSize":40' in (folder / "handover.jsonl").read_text()
    assert run(folder, "test").returncode == 0


@pytest.mark.rabbitmq
def test_one_more_test_runs_over_memory_and_rabbitmq(folder: Path) -> None:
    with (folder / "test_replay.py").open("a") as file:
        file.write(f"\n\n{SAYS['part: everywhere']}")

    ran = run(folder, "test")

    assert ran.returncode == 0, ran.stdout
    assert "4 passed" in ran.stdout


def test_a_dry_run_shows_the_one_message(folder: Path) -> None:
    ran = run(folder, "dry")

    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[1].split()[2:5] == ["devops-agent", "backend-agent", "infrastructure_ready"]


@pytest.mark.rabbitmq
async def test_what_was_said_is_recorded(folder: Path) -> None:
    users = definitions(allowed_rows(), observers=(CONSOLE,))
    async with PrivateBroker(folder / "broker", definitions=users) as broker:
        transport = await RabbitTransport.connect(broker.url(), identity=ADMIN, journal=False)
        await transport.declare(Topology(tuple(AgentQueue(name) for name in ALL_ROLES)))
        await transport.aclose()
        passwords = {name: password for name, password in users.passwords.items() if name != ADMIN}
        members = {"broker_url": f"amqp://127.0.0.1:{broker.port}/{VHOST}", "broker": {"passwords": passwords}}
        (folder / "interlock.toml").write_text(render_toml(members))
        before = read((folder / "handover.jsonl").read_bytes())
        command = [sys.executable, "-m", "interlock.agents.cli", "replay", "handover.jsonl", "--keep-ids"]
        sent = await anyio.run_process(command, cwd=folder, check=False)
        assert sent.returncode == 0, sent.stderr
        (folder / "handover.jsonl").unlink()

        ran = await anyio.to_thread.run_sync(run, folder, "record")

    assert ran.returncode == 0, ran.stderr
    assert normalised(read((folder / "handover.jsonl").read_bytes())) == normalised(before)
