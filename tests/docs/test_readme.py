"""What the README shows is what one gets."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from docs.picture import HANDOFFS
from docs.snippets import ROOT, named_blocks, python_blocks
from interlock.agents.agent import Agent
from interlock.agents.cli.app import app
from interlock.bus.clock import VirtualClock
from interlock.protocol import CATALOGUE, InfrastructureAcknowledged, TaskDeclined, decode_bare

README = ROOT / "README.md"
PICTURE = ROOT / "docs" / "images" / "handoffs.svg"
MESSAGE = ROOT / "tests" / "fixtures" / "messages" / "infrastructure_ready.json"


@pytest.fixture
def peer(tmp_path: Path) -> Agent:
    """Run the agent's file, without starting the agent."""
    file = tmp_path / "peer.py"
    file.write_text(named_blocks(README)["file: peer.py"])
    agent = runpy.run_path(str(file))["backend"]
    assert isinstance(agent, Agent)
    return agent


async def answer(peer: Agent, body: bytes) -> Any:
    handler = peer.handler("infrastructure_ready")
    assert handler is not None
    context: Any = None  # the handler makes no use of it
    return await handler(decode_bare(body, now=VirtualClock().now()).payload, context)


async def test_the_peer_agent_answers_the_specifications_message(peer: Agent) -> None:
    assert await answer(peer, MESSAGE.read_bytes()) == InfrastructureAcknowledged(
        accepted=True, config_version="v1", pool_size=20
    )


async def test_the_peer_agent_declines_a_database_that_is_too_small(peer: Agent) -> None:
    message = json.loads(MESSAGE.read_bytes())
    message["payload"]["configuration"]["maxConnections"] = 19

    assert isinstance(await answer(peer, json.dumps(message).encode()), TaskDeclined)


def test_the_peer_agent_has_fifteen_lines() -> None:
    (code,) = python_blocks(README)

    assert len(code.splitlines()) == 15


@pytest.mark.parametrize("name", ["broker", "tail", "send"])
def test_every_command_exists(name: str) -> None:
    command = named_blocks(README)[f"run: {name}"].split()[1]

    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"\bmake ([a-z]+)", re.sub(r"`make`", "", README.read_text())))

    assert targets >= {"demo", "test", "setup"}
    assert [target for target in targets if not re.search(rf"(?m)^{target}:", makefile)] == []


def test_the_output_that_is_shown_names_messages_of_the_catalogue() -> None:
    shown = re.findall(r"(?:→|->) \S+ +([a-z_]+)", README.read_text())
    types = {message.declaration.type for message in CATALOGUE}

    assert shown
    assert [name for name in shown if name not in types] == []


def test_the_picture_shows_the_handoffs_of_the_catalogue() -> None:
    labels = re.findall(r'class="label">([a-z_]+)<', PICTURE.read_text())

    assert labels == list(HANDOFFS)
    assert {message.declaration.type for message in CATALOGUE} >= set(HANDOFFS)


def test_the_picture_follows_the_readers_colours_and_loads_nothing() -> None:
    drawing = PICTURE.read_text()

    assert "prefers-color-scheme: dark" in drawing
    assert re.findall(r"""(?:href|src|url\()=?["']?\S+""", drawing) == []
