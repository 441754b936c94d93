"""The programs in docs/operations.md do what is said of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from docs.snippets import ROOT, named_blocks
from interlock.agents.permissions import allowed_rows
from interlock.bus.connect import open_transport
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import definitions
from interlock.protocol.roles import ALL_ROLES

PROGRAMS = named_blocks(ROOT / "docs" / "operations.md")


def run(name: str, folder: Path, *arguments: str | Path, environment: dict[str, str] | None = None) -> str:
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAMS[f"file: {name}"], *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_users_are_written_with_hashes_and_their_passwords_are_handed_over(tmp_path: Path) -> None:
    passwords = dict(line.split("\t") for line in run("users.py", tmp_path).splitlines())
    written = (tmp_path / "definitions.json").read_text()

    assert set(passwords) > set(ALL_ROLES)
    assert {user["name"] for user in json.loads(written)["users"]} == set(passwords)
    assert [name for name, password in passwords.items() if password in written] == []


@pytest.mark.rabbitmq
async def test_the_topology_has_a_queue_for_every_role(tmp_path: Path) -> None:
    async with PrivateBroker(tmp_path, definitions=definitions(allowed_rows())) as broker:
        for _ in range(2):
            await anyio.to_thread.run_sync(
                lambda: run("topology.py", tmp_path, environment={"ADMIN_URL": broker.url()})
            )
        for role in ALL_ROLES:
            transport = await open_transport(broker.url(role), identity=role)
            async with transport.consume():
                pass
            await transport.aclose()
