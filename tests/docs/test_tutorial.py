"""The tutorial's two files work together as it says."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

from docs.snippets import ROOT, named_blocks

TUTORIAL = named_blocks(ROOT / "docs" / "tutorial.md")


def test_the_tutorials_agent_passes_the_tutorials_tests(tmp_path: Path) -> None:
    for name, content in TUTORIAL.items():
        kind, _, file = name.partition(": ")
        if kind == "file":
            (tmp_path / file).write_text(content)
    command = shlex.split(TUTORIAL["run: test"])
    assert command[0] == "venv/bin/python"

    finished = subprocess.run(
        [sys.executable, *command[1:]], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )

    assert finished.returncode == 0, finished.stdout
    assert "3 passed" in finished.stdout
