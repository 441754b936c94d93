"""The programs in docs/operations.md do what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.cli.running import run_process
from docs.snippets import ROOT
from interlock.bus.connect import open_transport
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import Definitions
from interlock.protocol.roles import ALL_ROLES

DOCUMENT = ROOT / "docs" / "operations.md"
COMMANDS = DOCUMENT.read_text("utf-8").splitlines()


@pytest.mark.rabbitmq
async def test_the_commands_prepare_a_broker_for_every_role(tmp_path: Path) -> None:
    """As written: definitions, which the broker loads, then the queues; the passwords are those that it accepts."""
    commands = [line.partition("#")[0].split()[1:] for line in COMMANDS if line.startswith("interlock topology")]
    written, *rest = commands
    assert (await run_process(*written, cwd=tmp_path)).returncode == 0
    passwords = dict(line.split("\t") for line in (tmp_path / "passwords.tsv").read_text().splitlines())
    loaded = Definitions(json.loads((tmp_path / "definitions.json").read_text()), passwords)
    async with PrivateBroker(tmp_path / "broker", definitions=loaded) as broker:
        settings = {"INTERLOCK_BROKER_URL": broker.url()}
        for command in (*rest, *rest):
            assert (await run_process(*command, settings=settings, cwd=tmp_path)).returncode == 0
        for role in ALL_ROLES:
            transport = await open_transport(broker.url(role), identity=role)
            async with transport.consume():
                pass
            await transport.aclose()
