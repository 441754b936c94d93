"""The report's folder: four complete files, or the old ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from interlock.agents.report.folder import write
from interlock.agents.report.report import Report
from interlock.protocol import UsageError
from interlock.protocol.recording import read


def test_the_folder_holds_page_object_picture_and_recording(
    tmp_path: Path, report: Report, story: Any, picture: bytes
) -> None:
    folder = tmp_path / "reports" / "PROJ-140"

    files = write(folder, report, envelopes=story.envelopes, diagram=picture)

    assert {path.name for path in folder.iterdir()} == {
        "architecture.png",
        "conversation.jsonl",
        "report.html",
        "report.json",
    }
    assert json.loads(files.json.read_text()) == json.loads(report.to_json())
    assert list(read(files.conversation.read_bytes())) == story.envelopes
    assert files.diagram is not None
    assert files.diagram.read_bytes() == picture
    assert files.html.read_text().startswith("<!doctype html>")


def test_without_a_diagram_an_earlier_ones_is_removed(
    tmp_path: Path, report: Report, story: Any, picture: bytes
) -> None:
    write(tmp_path, report, envelopes=story.envelopes, diagram=picture)

    files = write(tmp_path, report, envelopes=story.envelopes, diagram=None)

    assert files.diagram is None
    assert not (tmp_path / "architecture.png").exists()


def test_a_folder_that_cannot_be_written_is_a_usage_error(tmp_path: Path, report: Report, story: Any) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")

    with pytest.raises(UsageError, match=r"PROJ-140.*name another folder"):
        write(taken, report, envelopes=story.envelopes, diagram=None)


def test_a_file_that_cannot_be_replaced_leaves_nothing_half_written(tmp_path: Path, report: Report, story: Any) -> None:
    (tmp_path / "report.html").mkdir()

    with pytest.raises(UsageError):
        write(tmp_path, report, envelopes=story.envelopes, diagram=None)

    assert {path.name for path in tmp_path.iterdir()} == {"conversation.jsonl", "report.html"}
