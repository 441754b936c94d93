"""A store in a fresh file under a clock that stands still."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from interlock.bus.clock import VirtualClock
from interlock.bus.store.sqlite import SqliteStore


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agent.db"


@pytest.fixture
async def store(path: Path, clock: VirtualClock) -> AsyncIterator[SqliteStore]:
    opened = await SqliteStore.open(path, agent="devops-agent", clock=clock)
    yield opened
    await opened.aclose()
