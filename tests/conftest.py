"""What every test shares; fixtures of one package live in that package's own conftest."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """The clients of brokers and clouds are written for asyncio."""
    return "asyncio"
