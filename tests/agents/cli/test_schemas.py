"""`interlock schemas`: exporting, and noticing what differs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.cli.running import interlock
from interlock.protocol import CATALOGUE
from interlock.protocol.contract import Contracts
from interlock.protocol.export import export

PROJ_140 = Path(__file__).parents[1] / "report" / "proj-140.jsonl"


def test_what_was_exported_is_up_to_date(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "schemas"
    result = interlock("schemas", "export", "--to", folder)
    assert result.exit_code == 0
    assert {path.name for path in folder.iterdir()} == set(export())
    result = interlock("schemas", "check", folder)
    assert (result.exit_code, result.stdout) == (0, f"{folder} is up to date\n")


def test_every_difference_is_a_line(tmp_path: Path) -> None:
    interlock("schemas", "export", "--to", tmp_path)
    (tmp_path / "index.json").write_text("{}")
    (tmp_path / "task_failed.v1.json").unlink()
    (tmp_path / "zz\x1b.json").write_text("{}")
    result = interlock("schemas", "check", tmp_path, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["ok"], document["changes"]) == (False, [])
    assert document["differences"] == [
        {"file": "index.json", "problem": "outdated"},
        {"file": "task_failed.v1.json", "problem": "missing"},
        {"file": "zz\x1b.json", "problem": "unexpected"},
    ]
    assert len(result.stderr.splitlines()) == 3
    assert "\x1b" not in result.stderr


def test_a_folder_that_is_missing_is_a_usage_error(tmp_path: Path) -> None:
    result = interlock("schemas", "check", tmp_path / "nowhere")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not a folder" in result.stderr


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = interlock("schemas", "export", "--to", tmp_path / "file" / "schemas")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr


@pytest.fixture
def release(tmp_path: Path) -> Callable[..., Path]:
    """Return a folder of schemas as they are, with a release in which some message had other members."""

    def release(name: str = "0.1.0", **older: dict[str, Any]) -> Path:
        folder = tmp_path / "schemas"
        interlock("schemas", "export", "--to", folder)
        lines = [json.loads(line) for line in Contracts.of_catalogue(CATALOGUE).lines().splitlines()]
        for entry in lines:
            if entry["type"] in older:
                payload = entry["schema"]["$defs"][message_class(entry["type"])]
                payload["properties"] |= older[entry["type"]]
                payload["required"] += older[entry["type"]]
        (folder / "released").mkdir(exist_ok=True)
        (folder / "released" / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)))
        return folder

    return release


def message_class(name: str) -> str:
    return CATALOGUE.lookup(name, 1).__name__


REMOVED = {"colour": {"type": "string", "enum": ["red"]}}


def test_a_break_is_told_with_its_place_its_kind_and_whom_it_breaks(release: Callable[..., Path]) -> None:
    folder = release(infrastructure_ready=REMOVED)

    result = interlock("schemas", "check", folder)

    assert result.exit_code == 1
    what, whom, *_ = result.stdout.splitlines()
    assert what.startswith("infrastructure_ready version 1, payload.colour: required_member_removed, it was required")
    assert whom == "  forward: backend-agent of 0.1.0 cannot take in what devops-agent will send"
    assert "1 change breaks users of 0.1.0" in result.stdout


def test_a_diff_is_a_document_for_programs(release: Callable[..., Path]) -> None:
    folder = release(infrastructure_ready=REMOVED)

    result = interlock("schemas", "diff", "--schemas", folder, "--json")

    document = json.loads(result.stdout)
    assert result.exit_code == 1
    assert (document["ok"], document["old"], document["new"]) == (False, "0.1.0", "the code")
    assert document["changes"] == [
        {
            "type": "infrastructure_ready",
            "version": 1,
            "path": "payload.colour",
            "kind": "required_member_removed",
            "detail": "it was required, and older receivers insist on it",
            "movedTo": None,
            "breaks": ["forward"],
            "senders": ["devops-agent"],
            "receivers": ["backend-agent"],
            "since": ["0.1.0"],
            "recorded": [],
        }
    ]


def test_releases_files_and_folders_can_be_compared_with_each_other(release: Callable[..., Path]) -> None:
    folder = release("0.2.0", plan_ready=REMOVED)
    release("0.10.0")
    file = folder / "released" / "0.2.0.jsonl"

    def compared(*what: str | Path) -> tuple[int, str]:
        result = interlock("schemas", "diff", *what, "--schemas", folder)
        return result.exit_code, result.stdout.splitlines()[-1]

    assert compared() == (0, "compatible with 0.10.0")
    assert compared("0.10.0", folder) == (0, "compatible with 0.10.0")
    assert compared("0.2.0", "0.10.0")[0] == compared(file, "code")[0] == 1
    assert compared("0.10.0", "0.2.0")[0] == 1, "a member that is required now is not there in older messages"


def test_an_older_release_still_counts_until_its_file_is_taken_away(release: Callable[..., Path]) -> None:
    folder = release("0.1.0", plan_ready=REMOVED)
    release("0.2.0")

    assert interlock("schemas", "check", folder).exit_code == 1
    (folder / "released" / "0.1.0.jsonl").unlink()
    assert interlock("schemas", "check", folder).exit_code == 0


def test_a_recorded_message_that_is_no_longer_read_is_told_with_file_line_and_conversation(
    release: Callable[..., Path],
) -> None:
    folder = release()
    lines = PROJ_140.read_bytes().splitlines()
    broken = [line.replace(b'"port":', b'"harbour":') for line in lines]
    (folder / "recording.jsonl").write_bytes(
        b"\n".join((*broken, b"{}", b"", lines[0].replace(b'"console"', b'"qa-agent"')))
    )

    result = interlock("schemas", "check", folder, "--recordings", folder / "recording.jsonl", "--json")

    document = json.loads(result.stdout)
    assert result.exit_code == 1
    failures = {failure["path"]: failure for failure in document["recordings"]["broken"]}
    assert failures["payload.connection.port"]["type"] == "infrastructure_ready"
    assert failures["payload.connection.port"]["subject"] == "PROJ-140"
    assert failures["type"]["line"] == len(lines) + 1
    assert failures["route"]["reason"] == "qa-agent may not send it to coordinator"
    assert f"{folder}/recording.jsonl:31: infrastructure_ready version 1, payload.connection.port: " in result.stderr


def test_a_release_is_frozen_once(release: Callable[..., Path]) -> None:
    folder = release()

    first = interlock("schemas", "release", "0.2.0", "--schemas", folder)
    again = interlock("schemas", "release", "0.2.0", "--schemas", folder)
    (folder / "index.json").unlink()
    unexported = interlock("schemas", "release", "0.3.0", "--schemas", folder)
    nameless = interlock("schemas", "release", "../up", "--schemas", release())

    assert first.exit_code == 0
    assert Contracts.parse("0.2.0", (folder / "released" / "0.2.0.jsonl").read_bytes()).find("plan_ready", 1)
    assert (again.exit_code, unexported.exit_code, nameless.exit_code) == (2, 2, 2)
    assert "never changes" in again.stderr
    assert "schemas check" in unexported.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("diff", "9.9.9"), "known here: 0.1.0, code"),
        (("diff", "0.1.0", "0.1.0", "--recordings", "."), "recordings are read by the code"),
        (("diff", "--package", "nobody"), "no installed package 'nobody'"),
        (("diff", "--recordings", "nowhere"), "nowhere is neither"),
    ],
)
def test_what_cannot_be_compared_is_a_usage_error(
    release: Callable[..., Path], arguments: tuple[str, ...], problem: str
) -> None:
    result = interlock("schemas", *arguments, "--schemas", release())

    assert result.exit_code == 2
    assert problem in result.stderr


def test_without_a_release_a_diff_says_how_to_make_one(tmp_path: Path) -> None:
    result = interlock("schemas", "diff", "--schemas", tmp_path)

    assert result.exit_code == 2
    assert "interlock schemas release" in result.stderr
