"""Which RabbitMQ a test session gets: a named one first, then a private one, and else advice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.agents.testing.rabbitmq import ADDRESS, find_rabbitmq
from interlock.protocol.errors import UsageError


@pytest.fixture(autouse=True)
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "interlock.toml"
    file.write_text('[broker.passwords]\nbackend-agent = "correct horse"\n')
    monkeypatch.setenv("INTERLOCK_CONFIG", str(file))
    monkeypatch.delenv(ADDRESS, raising=False)


async def test_a_named_broker_is_used_with_the_agents_own_passwords(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ADDRESS, "amqp://interlock-admin:secret@broker.example.com/interlock")

    async with find_rabbitmq(tmp_path) as server:
        assert server.admin == "amqp://interlock-admin:secret@broker.example.com/interlock"
        assert server.url("backend-agent") == "amqp://backend-agent:correct%20horse@broker.example.com/interlock"
        assert "secret" not in repr(server)


async def test_a_named_broker_needs_a_user_who_may_declare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ADDRESS, "amqp://broker.example.com/interlock")

    with pytest.raises(UsageError, match="with a user who may declare queues"):
        async with find_rabbitmq(tmp_path):
            pass


WITHOUT_ANY = """
import anyio
from pathlib import Path
from interlock.agents.testing import rabbitmq

rabbitmq.find_server = lambda: None

async def main():
    async with rabbitmq.find_rabbitmq(Path(".")):
        pass

anyio.run(main)
"""


def test_where_there_is_none_the_error_says_what_to_install(tmp_path: Path) -> None:
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/no-docker.sock", "TESTCONTAINERS_RYUK_DISABLED": "true"}
    # A process of its own: Docker's client leaves its socket open when nobody is there.
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_ANY],
        cwd=tmp_path,
        env=os.environ | nowhere,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert "UsageError: this test needs a RabbitMQ, and there is none: install rabbitmq-server" in ran.stderr
    assert "or testcontainers with a Docker engine, or name a broker for tests in INTERLOCK_TEST" in ran.stderr
