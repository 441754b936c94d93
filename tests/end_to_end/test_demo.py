"""`interlock demo` as people start it: its output, its exit codes, and that it leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import anyio
import pytest

from end_to_end.demonstration import COMMAND, Demonstration, demonstrate, environment
from end_to_end.outside import FIXTURES

pytestmark = pytest.mark.slow


async def test_an_accepted_change_exits_0_and_prints_exactly_the_report(over_memory: Demonstration) -> None:
    assert over_memory.ran.returncode == 0, over_memory.ran.stderr.decode()
    document = over_memory.document
    assert document == json.loads((over_memory.report / "report.json").read_text())
    assert document["outcome"] == "accepted"
    assert document["jira"]["status"] == "Done"
    assert {path.name for path in over_memory.report.iterdir()} >= {"report.html", "report.json", "architecture.png"}


async def test_a_question_without_an_answer_exits_3(tmp_path: Path) -> None:
    ended = await demonstrate(tmp_path, "--ticket", FIXTURES / "missing-facts.json")

    assert ended.ran.returncode == 3, ended.ran.stderr.decode()
    document = ended.document
    assert document["outcome"] == "input_required"
    assert {gap["field"] for gap in document["missing"]} >= {"engineVersion", "vpc", "multiAz"}


async def test_a_ticket_that_is_an_atlassian_document_is_accepted(tmp_path: Path) -> None:
    ended = await demonstrate(tmp_path, "--ticket", FIXTURES / "english-adf.json")

    assert (ended.ran.returncode, ended.document["outcome"]) == (0, "accepted"), ended.ran.stderr.decode()


async def test_an_approval_that_nobody_gives_exits_3(tmp_path: Path) -> None:
    ended = await demonstrate(tmp_path, "--ticket", FIXTURES / "over-budget.json")

    assert (ended.ran.returncode, ended.document["outcome"]) == (3, "waiting_for_approval")


async def test_a_declined_change_exits_3(tmp_path: Path) -> None:
    ended = await demonstrate(tmp_path, "--ticket", FIXTURES / "unsupported-oracle.json")

    assert (ended.ran.returncode, ended.document["outcome"]) == (3, "declined")


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

    ended = await demonstrate(tmp_path, *arguments)

    assert ended.ran.returncode == 2, ended.ran.stderr.decode()
    assert not ended.report.exists()
    assert b"Traceback" not in ended.ran.stderr
    assert b"sandbox" not in ended.ran.stderr, "nothing is started for a wrong command"


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
async def test_an_interrupted_demonstration_leaves_nothing_running(tmp_path: Path) -> None:
    command = [*COMMAND, "--broker", "memory", "--work", str(tmp_path / "work"), "--report", str(tmp_path / "report")]
    process = await anyio.open_process(command, cwd=tmp_path, env=environment())
    async with process:
        assert process.stderr is not None
        with anyio.fail_after(60):
            seen = b""
            while b"infrastructure_apply" not in seen:
                seen += await process.stderr.receive()
        assert [line for line in alive_in(tmp_path) if "sandbox up" in line]

        process.send_signal(signal.SIGINT)
        with anyio.fail_after(30):
            await process.wait()

    assert process.returncode not in {0, None}
    assert alive_in(tmp_path) == []
