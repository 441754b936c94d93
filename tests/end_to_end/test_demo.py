"""`interlock demo` as people start it: its output, its exit codes, and that it leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from end_to_end.outside import FIXTURES

pytestmark = pytest.mark.slow

COMMAND = (sys.executable, "-m", "interlock.agents.cli", "demo", "--broker", "memory", "--json")


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("INTERLOCK_")}


async def demo(directory: Path, *arguments: str | Path) -> tuple[subprocess.CompletedProcess[bytes], Path]:
    """Run a demonstration to its end; return it and the folder of its report."""
    report = directory / "report"
    with anyio.fail_after(170):
        ran = await anyio.run_process(
            [*COMMAND, "--report", str(report), *map(str, arguments)], check=False, cwd=directory, env=environment()
        )
    return ran, report


def only_document(ran: subprocess.CompletedProcess[bytes]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(ran.stdout)
    return document


async def test_an_accepted_change_exits_0_and_prints_exactly_the_report(tmp_path: Path) -> None:
    ran, report = await demo(tmp_path)

    assert ran.returncode == 0, ran.stderr.decode()
    document = only_document(ran)
    assert document == json.loads((report / "report.json").read_text())
    assert document["outcome"] == "accepted"
    assert document["jira"]["status"] == "Done"
    assert {path.name for path in report.iterdir()} >= {"report.html", "report.json", "architecture.png"}


async def test_a_question_without_an_answer_exits_3(tmp_path: Path) -> None:
    ran, _ = await demo(tmp_path, "--ticket", FIXTURES / "missing-facts.json")

    assert ran.returncode == 3, ran.stderr.decode()
    document = only_document(ran)
    assert document["outcome"] == "input_required"
    assert {gap["field"] for gap in document["missing"]} >= {"engineVersion", "vpc", "multiAz"}


async def test_an_approval_that_nobody_gives_exits_3(tmp_path: Path) -> None:
    ran, _ = await demo(tmp_path, "--ticket", FIXTURES / "over-budget.json")

    assert (ran.returncode, only_document(ran)["outcome"]) == (3, "waiting_for_approval")


async def test_a_declined_change_exits_3(tmp_path: Path) -> None:
    ran, _ = await demo(tmp_path, "--ticket", FIXTURES / "unsupported-oracle.json")

    assert (ran.returncode, only_document(ran)["outcome"]) == (3, "declined")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("--ticket", "nowhere.json"), id="a ticket that is not there"),
        pytest.param(("--ticket", "broken.json"), id="a ticket that is no ticket"),
        pytest.param(("--answers", "broken.json"), id="answers that are none"),
        pytest.param(("--broker", "pigeon"), id="a broker that is none"),
    ],
)
async def test_wrong_use_exits_2_with_one_line_and_no_document(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "broken.json").write_text('{"project": 7}')

    ran, report = await demo(tmp_path, *arguments)

    assert ran.returncode == 2, ran.stderr.decode()
    assert not report.exists()
    assert b"Traceback" not in ran.stderr


def alive_in(directory: Path) -> list[str]:
    """Return the commands of processes that work in this folder or were told of it."""
    found: list[str] = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and int(process.name) != os.getpid():
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue  # it has ended meanwhile
            if str(directory) in command:
                found.append(command)
    return found


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc to see what is running")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_an_interrupted_demonstration_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    command = [*COMMAND, "--work", str(tmp_path / "work"), "--report", str(tmp_path / "report")]
    process = await anyio.open_process(command, cwd=tmp_path, env=environment())
    async with process:
        assert process.stderr is not None
        with anyio.fail_after(60):
            seen = b""
            while b"infrastructure_apply" not in seen:
                seen += await process.stderr.receive()
        assert [line for line in alive_in(tmp_path) if "sandbox up" in line]

        process.send_signal(number)
        with anyio.fail_after(30):
            await process.wait()

    assert process.returncode not in {0, None}
    assert alive_in(tmp_path) == []
