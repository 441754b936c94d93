"""`interlock dead edit`: what is shown, what replaces a message, and what is kept when it is refused."""

from __future__ import annotations

import json
import stat
import sys
import tempfile
from pathlib import Path

import pytest

from agents.cli.dead_letters import READY, given_up, states
from agents.cli.running import interlock
from interlock.bus.store.records import InboxState


def test_an_edit_shows_the_difference_and_replaces_the_message(state_dir: Path) -> None:
    given_up(state_dir, "no bucket")
    arguments = ("backend-agent/1", "--set", "configuration.maxConnections=200", "--set", "resource=RDS MySQL")
    planned = interlock("dead", "edit", *arguments, "--dry-run")
    assert planned.exit_code == 0
    assert '-    "maxConnections": 100,\n' in planned.stdout
    assert '+    "maxConnections": 200,\n' in planned.stdout
    assert '+  "resource": "RDS MySQL",\n' in planned.stdout
    assert states(state_dir) == [InboxState.DEAD]
    done = interlock("dead", "edit", *arguments, "--as", "dana", "--json")
    (outcome,) = json.loads(done.stdout)["outcomes"]
    assert (done.exit_code, outcome["outcome"]) == (0, "done")
    assert states(state_dir) == [InboxState.REPLACED, InboxState.READY]
    assert outcome["replacementId"] in interlock("dead", "show", "backend-agent/1").stdout


def test_an_edit_by_file_and_by_editor(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_up(state_dir, "no bucket", "no disk")
    payload = json.loads(READY.read_bytes())["payload"] | {"resource": "RDS MySQL"}
    (state_dir / "payload.json").write_text(json.dumps(payload))
    assert interlock("dead", "edit", "backend-agent/1", "--payload", "payload.json", "--as", "dana").exit_code == 0
    editor = state_dir / "editor.py"
    editor.write_text(
        "import os, sys\nfile = sys.argv[1]\nassert os.stat(os.path.dirname(file)).st_mode & 0o077 == 0\n"
        "text = open(file).read()\nopen(file, 'w').write(text.replace('app_db', 'other_db'))\n"
    )
    monkeypatch.setenv("VISUAL", f"{sys.executable} {editor}")
    done = interlock("dead", "edit", "backend-agent/2", "--as", "dana")
    assert '+    "database": "other_db"' in done.stdout
    assert states(state_dir)[:2] == [InboxState.REPLACED, InboxState.REPLACED]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("--set", "configuration.maxConnections=many"), 1, "payload.configuration.maxConnections"),
        (("--set", "nothing.there=1"), 2, "the payload has nothing at nothing.there"),
        (("--set", "resource"), 2, "write PATH=VALUE"),
        (("--payload", "missing.json"), 2, "missing.json: No such file"),
        (("--payload", "list.json"), 2, "list.json is no JSON object"),
        (("--set", "a=1", "--payload", "list.json"), 2, "not both"),
        (("--set", "resource=RDS PostgreSQL"), 3, ""),
    ],
)
def test_an_edit_that_is_wrong_or_none_does_nothing(
    state_dir: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    given_up(state_dir, "no bucket")
    (state_dir / "list.json").write_text("[]")
    done = interlock("dead", "edit", "backend-agent/1", *arguments, "--as", "dana")
    assert done.exit_code == code
    assert said in done.stderr
    assert states(state_dir) == [InboxState.DEAD]


def test_an_editor_that_fails_does_nothing(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_up(state_dir, "no bucket")
    for editor, said in (("false", "ended with 1"), ("/no/such/editor", "cannot be started")):
        monkeypatch.setenv("VISUAL", editor)
        done = interlock("dead", "edit", "backend-agent/1", "--as", "dana")
        assert done.exit_code == 2
        assert said in done.stderr
    assert states(state_dir) == [InboxState.DEAD]


def by_editor(state_dir: Path, monkeypatch: pytest.MonkeyPatch, *, old: str, new: str) -> None:
    """Have an editor replace this text."""
    editor = state_dir / "editor.py"
    editor.write_text(
        "import pathlib, sys\n"
        "file = pathlib.Path(sys.argv[1])\n"
        f"file.write_text(file.read_text().replace({old!r}, {new!r}))\n"
    )
    monkeypatch.setenv("VISUAL", f"{sys.executable} {editor}")
    monkeypatch.setattr(tempfile, "tempdir", str(state_dir))


@pytest.mark.parametrize(
    ("new", "code", "way"),
    [
        pytest.param('"maxConnections": "many"', 1, "--payload {file}", id="refused by the catalogue"),
        pytest.param('"maxConnections": ', 2, "--payload {file}", id="no JSON"),
    ],
)
def test_what_was_written_in_an_editor_is_kept_when_it_is_refused(
    state_dir: Path, monkeypatch: pytest.MonkeyPatch, new: str, code: int, way: str
) -> None:
    given_up(state_dir, "no bucket")
    by_editor(state_dir, monkeypatch, old='"maxConnections": 100', new=new)

    refused = interlock("dead", "edit", "backend-agent/1", "--as", "dana")

    assert refused.exit_code == code
    (file,) = state_dir.glob("interlock-*.json")
    assert new in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert way.format(file=file) in refused.stderr.replace("\n", "")
    assert states(state_dir) == [InboxState.DEAD]

    file.write_text(file.read_text().replace(new, '"maxConnections": 120'))
    done = interlock("dead", "edit", "backend-agent/1", "--payload", str(file), "--as", "dana")
    assert done.exit_code == 0, done.stderr


def test_an_edit_that_is_done_leaves_no_file(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given_up(state_dir, "no bucket")
    by_editor(state_dir, monkeypatch, old='"maxConnections": 100', new='"maxConnections": 120')

    assert interlock("dead", "edit", "backend-agent/1", "--as", "dana").exit_code == 0
    assert list(state_dir.glob("interlock-*")) == []
