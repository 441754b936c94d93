"""What every test shares; fixtures of one package live in that package's own conftest."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests: two workers that share the files end together then."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture
def anyio_backend() -> str:
    """The clients of brokers and clouds are written for asyncio."""
    return "asyncio"
