"""A newcomer's way: the core in an environment of its own, the README's agent and commands, the answer on the bus."""

from __future__ import annotations

import shlex
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import pytest

from docs.newcomer import ENVIRONMENT, Terminal, pin_releases, started
from docs.snippets import ROOT, named_blocks

pytestmark = [pytest.mark.slow, pytest.mark.rabbitmq]

COMMANDS = named_blocks(ROOT / "README.md")
EXTRAS = ("aioboto3", "asyncpg", "httpx", "jira", "kubernetes_asyncio", "moto", "PIL")


def run(*command: str | Path, folder: Path) -> str:
    finished = subprocess.run(
        command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=80
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder beside the checkout with the core alone in a virtual environment, in the locked releases."""
    beside = tmp_path_factory.mktemp("newcomer")
    (beside / "interlock").symlink_to(ROOT)
    folder = beside / "peer"
    folder.mkdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", beside / "dist", folder=ROOT)
    (wheel,) = (beside / "dist").glob("*.whl")
    make, install = COMMANDS["run: set-up"].splitlines()
    assert (make, install) == ("python3 -m venv venv", "venv/bin/pip install ../interlock")
    run(sys.executable, *shlex.split(make)[1:], folder=folder)
    run(folder / "venv/bin/pip", "install", "-q", "-c", pin_releases(beside / "constraints.txt"), wheel, folder=folder)
    (folder / "peer.py").write_text(COMMANDS["file: peer.py"])
    return folder


def terminal(name: str, folder: Path, *, ready: str) -> AbstractAsyncContextManager[Terminal]:
    """Start one of the README's commands."""
    return started(shlex.split(COMMANDS[f"run: {name}"]), folder=folder, ready=ready)


async def test_the_readmes_agent_answers_with_the_core_alone(folder: Path) -> None:
    async with (
        terminal("broker", folder, ready="Ctrl-C ends the broker"),
        terminal("tail", folder, ready="following") as copies,
        terminal("peer", folder, ready="taking messages"),
    ):
        with anyio.fail_after(60):
            await anyio.run_process(shlex.split(COMMANDS["run: send"]), cwd=folder, env=ENVIRONMENT)
        handoff = await copies.line(" infrastructure_ready ")
        answer = await copies.line(" infrastructure_acknowledged ")

    assert "devops-agent -> backend-agent" in handoff
    assert "backend-agent -> devops-agent" in answer
    assert not await anyio.Path(folder / "interlock.toml").exists()


def test_no_extra_is_installed(folder: Path) -> None:
    program = f"import importlib.util as u; print(*[n for n in {EXTRAS!r} if u.find_spec(n)])"

    assert run(folder / "venv/bin/python", "-c", program, folder=folder).split() == []


def test_a_command_that_needs_an_extra_says_which(folder: Path) -> None:
    refused = subprocess.run(
        [folder / "venv/bin/interlock", "demo"],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode == 2
    assert "install interlock[sandbox]" in refused.stderr


def test_the_bus_is_imported_fast_and_without_an_amqp_client(folder: Path) -> None:
    program = (
        "import sys, time; began = time.process_time(); import interlock.bus, interlock.bus.connect; "
        "print(time.process_time() - began, 'aio_pika' in sys.modules)"
    )
    seconds, loaded = run(folder / "venv/bin/python", "-c", program, folder=folder).split()

    assert float(seconds) < 2.0
    assert loaded == "False"
