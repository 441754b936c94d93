"""Where the commands of these tests look for stores."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERLOCK_STATE_DIR", str(tmp_path))
    for name in ("INTERLOCK_CONFIG", "INTERLOCK_BROKER_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path
