"""The real Terraform program, and the database of the specification."""

from __future__ import annotations

import pytest

from interlock.agents.systems.terraform import Terraform
from interlock.protocol.infrastructure import DatabaseSpec
from specimens import PROJ_140


@pytest.fixture
def terraform() -> Terraform:
    client = Terraform(deadline=20, apply_deadline=20, grace=2)
    if not client.available():
        pytest.skip("install Terraform 1.11 or newer and put it on the PATH: these tests run the real program")
    return client


@pytest.fixture
def spec() -> DatabaseSpec:
    """PROJ-140 with a minor version, which the code must not pin."""
    return PROJ_140.model_copy(update={"engine_version": "14.7"})
