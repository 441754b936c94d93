"""Somebody else's package, installed beside: its messages are validated, documented, sent, recorded and replayed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio
import pytest

from docs.newcomer import ENVIRONMENT, Terminal, pin_releases, started
from docs.snippets import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.rabbitmq]

PACKAGE = ("--package", "tape-robot")
MOUNT = {
    "from": "devops-agent",
    "to": "tape-agent",
    "type": "tape_mount_request",
    "payload": {"jiraIssue": "PROJ-140", "slot": 7},
}


def run(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    program = folder / "venv" / "bin" / command[0]
    return subprocess.run(
        [program, *command[1:]],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def done(folder: Path, *command: str | Path) -> str:
    finished = run(folder, *command)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder outside the checkout with both packages in a virtual environment, built as for publishing."""
    folder = tmp_path_factory.mktemp("outside")
    package = shutil.copytree(ROOT / "tests" / "fixtures" / "third_party", folder / "tape-robot")
    for source in (ROOT, package):
        build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "dist")]
        subprocess.run(build, cwd=source, env=ENVIRONMENT, check=True, capture_output=True, timeout=120)
    pin_releases(folder / "constraints.txt")
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True, timeout=120)
    done(folder, "pip", "install", "-q", "-c", "constraints.txt", *(folder / "dist").glob("*.whl"))
    (folder / "mount.json").write_text(json.dumps(MOUNT))
    return folder


def terminal(folder: Path, *command: str, ready: str) -> AbstractAsyncContextManager[Terminal]:
    """Start a program of the folder's virtual environment."""
    return started([folder / "venv" / "bin" / command[0], *command[1:]], folder=folder, ready=ready)


def test_its_messages_are_validated(folder: Path) -> None:
    (folder / "wrong.json").write_text(json.dumps(MOUNT | {"payload": {"jiraIssue": "PROJ-140", "slot": 41}}))
    (folder / "stranger.json").write_text(json.dumps(MOUNT | {"from": "qa-agent"}))

    assert done(folder, "interlock", "validate", "mount.json") == (
        "mount.json: ok: tape_mount_request v1, devops-agent -> tape-agent\n"
    )
    wrong = run(folder, "interlock", "validate", "wrong.json", "stranger.json")
    assert wrong.returncode == 1
    assert "payload.slot: Input should be less than or equal to 40" in wrong.stdout
    assert "qa-agent may not send tape_mount_request to tape-agent" in wrong.stdout


def test_its_schemas_are_exported_released_and_kept_compatible(folder: Path) -> None:
    done(folder, "interlock", "schemas", "export", *PACKAGE)
    done(folder, "interlock", "schemas", "release", "1.0", *PACKAGE)
    exported = {path.name for path in (folder / "schemas").glob("*.json")}
    recording = json.loads((folder / "schemas" / "asyncapi.json").read_text())
    example = recording["components"]["messages"]["tape_mount_request.v1"]["examples"][0]["payload"]
    (folder / "recorded.jsonl").write_text(json.dumps(example) + "\n")
    (messages,) = (folder / "venv").rglob("tape_robot/messages.py")
    source = messages.read_text()

    assert exported == {"tape_mount_request.v1.json", "tape_mounted.v1.json", "index.json", "asyncapi.json"}
    assert "recordings, 1 looked at: all are read" in done(
        folder, "interlock", "schemas", "check", *PACKAGE, "--recordings", "recorded.jsonl"
    )
    try:
        messages.write_text(source.replace("le=40, examples=[7]", "le=6, examples=[5]"))
        broken = run(folder, "interlock", "schemas", "check", *PACKAGE, "--recordings", "recorded.jsonl")
    finally:
        messages.write_text(source)

    assert broken.returncode == 1
    assert "tape_mount_request version 1, payload.slot: range_narrowed" in broken.stdout
    assert "  backward: tape-agent cannot take in what devops-agent of 1.0 sent" in broken.stdout
    assert "  recorded: recorded.jsonl:1, conversation " in broken.stdout


def test_its_messages_are_documented(folder: Path) -> None:
    page = done(folder, "interlock", "schemas", "docs", *PACKAGE)

    assert page.startswith("# Messages of tape-robot\n")
    assert "### tape_mount_request, version 1" in page
    assert "to be ended within 10 minutes; answered by `tape_mounted`, `task_declined`" in page
    assert '"slot": 7' in page
    assert "infrastructure_ready" not in page


async def test_its_agent_is_asked_over_a_broker_and_answers(folder: Path) -> None:
    async with (
        terminal(folder, "interlock", "broker", "up", ready="Ctrl-C ends the broker"),
        terminal(folder, "interlock", "tail", "#", ready="following") as copies,
        terminal(folder, "interlock", "tail", "#", "--json", ready="following") as documents,
        terminal(folder, "python", "-m", "tape_robot.agent", ready="taking messages"),
    ):
        with anyio.fail_after(60):
            sent = await anyio.run_process(
                [str(folder / "venv/bin/interlock"), "send", "mount.json"], cwd=folder, env=ENVIRONMENT
            )
        asked = await copies.line("tape_mount_request")
        answered = await copies.line("tape_mounted")

        types = ("tape_mount_request", "tape_mounted")
        recorded = [await documents.line(f'"type": "{name}"') for name in types]

        told = done(folder, "interlock", "record", "PROJ-140", "--since", "1h", "-o", "tapes.jsonl", "--json")
        replayed = json.loads(done(folder, "interlock", "replay", "tapes.jsonl", "--json"))
        again = json.loads(await documents.line('"type": "tape_mount_request"'))
    assert json.loads(told)["messages"] == len(types)
    assert [json.loads(line)["type"] for line in (folder / "tapes.jsonl").read_text().splitlines()] == [*types]
    assert [one["type"] for one in replayed["sent"]] == [*types]
    assert again["conversationId"] == replayed["sent"][0]["conversationId"]
    assert again["payload"] == MOUNT["payload"]

    (folder / "told.jsonl").write_text("\n".join(recorded))
    read = done(folder, "interlock", "schemas", "check", *PACKAGE, "--recordings", "told.jsonl")

    assert "recordings, 1 looked at: all are read" in read
    assert b"sent tape_mount_request to tape-agent" in sent.stdout
    assert "devops-agent" in asked
    assert "tape-agent" in answered
    assert "cannot be decoded" not in asked + answered


def test_a_package_that_breaks_later_is_named_and_costs_nobody_else_anything(folder: Path) -> None:
    (messages,) = (folder / "venv").rglob("tape_robot/messages.py")
    source = messages.read_text()
    ours = ROOT / "tests" / "fixtures" / "messages" / "infrastructure_ready.json"
    try:
        messages.write_text(source.replace("from pydantic import Field", "from pydantic import Fields"))
        validated = run(folder, "interlock", "validate", ours)
        exported = run(folder, "interlock", "schemas", "export", "--to", "elsewhere")
    finally:
        messages.write_text(source)

    assert validated.returncode == 0
    assert (
        "messages of an installed package cannot be used: tape-robot: its messages cannot be loaded" in validated.stderr
    )
    assert exported.returncode == 2
    assert exported.stderr.startswith("UsageError: tape-robot: its messages cannot be loaded from tape_robot.messages")
    assert "Traceback" not in validated.stderr + exported.stderr
