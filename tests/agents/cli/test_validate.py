"""`interlock validate`: the specification's messages, wrong ones, and hostile ones."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anyio
import pytest

from agents.cli.running import MESSAGES, interlock, run_process

SPECIFIED = sorted(MESSAGES.glob("*.json"))
WRONG = sorted((MESSAGES / "wrong").glob("*.json"))


def test_there_is_something_to_check() -> None:
    assert len(SPECIFIED) == 3
    assert len(WRONG) >= 30


@pytest.mark.parametrize("path", SPECIFIED, ids=lambda path: path.stem)
def test_the_specifications_messages_are_good(path: Path) -> None:
    result = interlock("validate", path)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"{path}: ok: {path.stem} v1, devops-agent -> ")


@pytest.mark.parametrize("path", WRONG, ids=lambda path: path.stem)
def test_a_wrong_message_is_one_line_with_its_path_and_reason(path: Path) -> None:
    result = interlock("validate", path)
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{path}: ")
    assert result.stdout.endswith(")\n")
    assert result.stdout.count("\n") == 1
    assert result.stderr == ""


def test_several_files_get_a_line_each_and_one_wrong_one_fails_them() -> None:
    result = interlock("validate", *SPECIFIED, WRONG[0])
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 4


def test_standard_input_is_read_for_a_dash() -> None:
    result = interlock("validate", "-", stdin=SPECIFIED[0].read_bytes())
    assert (result.exit_code, result.stdout.partition(":")[0]) == (0, "-")


def test_a_message_that_its_sender_may_not_send_is_wrong() -> None:
    document = json.loads((MESSAGES / "infrastructure_ready.json").read_bytes())
    result = interlock("validate", "-", stdin=json.dumps({**document, "from": "qa-agent"}).encode())
    assert result.exit_code == 1
    assert result.stdout == "-: type: qa-agent may not send infrastructure_ready to backend-agent (not_allowed)\n"


@pytest.mark.parametrize("by", ["name", "option"])
def test_json_lines_are_checked_line_by_line(tmp_path: Path, by: str) -> None:
    good = json.dumps(json.loads(SPECIFIED[0].read_bytes())).encode()
    path = tmp_path / ("recording.jsonl" if by == "name" else "recording.txt")
    path.write_bytes(good + b"\r\n\n" + b'{"type": 1}\n' + b"x" * 3_000_000 + b"\n" + good)
    result = interlock("validate", path, *(["--lines"] if by == "option" else []))
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [
        f"{path}:3: type: a string is required (invalid_field)",
        f"{path}:4: message: 1048578 bytes, at most 1048576 are accepted (too_large)",
    ]
    path.write_bytes(good + b"\n" + good + b"\n")
    assert interlock("validate", path, "--lines").stdout == f"{path}: ok: 2 messages\n"


def test_a_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "huge.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)
    result = interlock("validate", path)
    assert (result.exit_code, result.stdout.endswith("(too_large)\n")) == (1, True)


@pytest.mark.parametrize("name", ["missing.json", "folder", "nul\0byte"])
def test_a_file_that_cannot_be_read_is_a_usage_error_and_the_others_are_checked(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    result = interlock("validate", f"{tmp_path}/{name}", SPECIFIED[0])
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert result.stdout.startswith(f"{SPECIFIED[0]}: ok")


def test_with_json_there_is_one_document_and_people_read_standard_error(tmp_path: Path) -> None:
    result = interlock("validate", "--json", SPECIFIED[0], WRONG[0], tmp_path / "missing")
    document = json.loads(result.stdout)
    assert result.exit_code == 2
    assert document["ok"] is False
    assert [file["ok"] for file in document["files"]] == [True, False, False]
    assert document["files"][0]["good"][0]["sender"] == "devops-agent"
    assert set(document["files"][1]["wrong"][0]) == {"line", "path", "code", "reason"}
    assert "No such file" in document["files"][2]["unreadable"]
    assert len(result.stderr.splitlines()) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"\x1b]0;owned\x07\x1b[2J",
        b'{"type": "\x1b[31m"}',
        '{"type": "infrastructure_ready\u202e", "version": 1}'.encode(),
        b'{"from":"a","to":"b","type":"infrastructure_ready","payload":{"\\u001b[2J":1}}',
        b'{"\\u001b[31mtwice":1,"\\u001b[31mtwice":2}',
        b"\xff\xfe\x00",
        b"",
        b"[" * 100_000,
        b'{"a":' * 5_000,
    ],
)
async def test_hostile_content_reaches_no_terminal(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "message.json"
    path.write_bytes(content)
    result = interlock("validate", path)
    assert result.exit_code == 1
    assert result.stdout.count("\n") == 1
    assert result.stdout.removesuffix("\n").isprintable()


@pytest.mark.parametrize(
    "name", [b"\x1b[2J.json", b"a\nb: ok.json", b"\xff\xfe.json", "\u202egnp.json".encode(), b"-x\rok.json"]
)
async def test_hostile_file_names_reach_no_terminal(tmp_path: Path, name: bytes) -> None:
    path = anyio.Path(tmp_path) / os.fsdecode(name)
    await path.write_bytes(SPECIFIED[0].read_bytes())
    result = await run_process("validate", os.fsencode(path))
    assert (result.returncode, result.stderr) == (0, b"")
    line = result.stdout.decode()
    assert line.count("\n") == 1
    assert line.removesuffix("\n").isprintable()
