"""`interlock schemas`: exporting, and noticing what differs."""

from __future__ import annotations

import json
from pathlib import Path

from agents.cli.running import interlock
from interlock.protocol.schemas import export


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
    assert json.loads(result.stdout) == {
        "ok": False,
        "differences": [
            {"file": "index.json", "problem": "outdated"},
            {"file": "task_failed.v1.json", "problem": "missing"},
            {"file": "zz\x1b.json", "problem": "unexpected"},
        ],
    }
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
