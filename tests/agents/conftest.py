"""What the tests of all agents and systems share."""

from __future__ import annotations

import pytest

from interlock.protocol.infrastructure import DatabaseSpec
from specimens import PROJ_140


@pytest.fixture
def spec() -> DatabaseSpec:
    """The database of the specification's ticket, PROJ-140."""
    return PROJ_140
