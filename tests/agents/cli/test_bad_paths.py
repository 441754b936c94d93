"""Files and folders that cannot be used: each is one line with the name in it, and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.cli.running import interlock
from interlock.agents.agent import Agent
from interlock.agents.process import run_agents
from interlock.agents.settings import Settings

_DEEP = "[" * 100_000
_LONG = "a" * 300


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with things in it that are not what a command needs; it is the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERLOCK_STATE_DIR", "file")
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "deep").write_text(_DEEP)
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "released").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("demo --report file --broker memory", "file is no folder"),
        ("demo --report file/below --broker memory", "file is no folder"),
        ("demo --trace missing/trace.jsonl --broker memory", "missing/trace.jsonl cannot be written"),
        ("demo --answers deep --broker memory", "the answers deep cannot be read as JSON"),
        (f"demo --report {_LONG} --broker memory", "File name too long"),
        ("sandbox up --write folder", "folder cannot be written: it is a folder"),
        ("sandbox up --write missing/settings.toml", "missing/settings.toml cannot be written"),
        ("sandbox up --write file/settings.toml", "file/settings.toml cannot be written"),
        ("schemas diff deep", "line 1, is no message of a release"),
        (f"schemas diff {_LONG}", "File name too long"),
        (f"schemas diff code code --recordings {_LONG}", "File name too long"),
        (f"record --store {_LONG} PROJ-140", "File name too long"),
        (f"broker up --write {_LONG}", "File name too long"),
        ("topology definitions --write folder", "folder cannot be written"),
        ("trace deep", "line 1, is no OTLP/JSON"),
        ("store migrate qa-agent", "file cannot be used: File exists"),
        ("run --all", "File exists"),
    ],
)
def test_a_bad_path_is_one_line(places: Path, command: str, told: str) -> None:
    refused = interlock(*command.split())

    assert refused.exit_code == 2, refused.exception
    assert told in refused.stderr
    assert refused.stderr.count("\n") == 1


def test_a_release_needs_a_folder_for_it(places: Path) -> None:
    assert interlock("schemas", "export", "--to", places / "schemas").exit_code == 0

    refused = interlock("schemas", "release", "9.9.9", "--schemas", places / "schemas")

    assert refused.exit_code == 2
    assert f"the folder {places / 'schemas' / 'released'} cannot be made" in refused.stderr


def test_an_agent_whose_state_has_no_place_does_not_start(places: Path) -> None:
    settings = Settings.load({"state_dir": places / "file", "broker_url": "amqp://127.0.0.1:1/interlock"})

    with pytest.raises(SystemExit, match=r"the state_dir .*file cannot be made: File exists"):
        run_agents([Agent("peer-agent")], settings=settings)
