"""What pytest gets when Interlock is installed: fixtures and an option; it imports Interlock only when they are used.

It stands beside the packages, not in one: pytest loads it in every project, also in those that have no use for it.
"""

from __future__ import annotations

__all__ = ["pytest_addoption"]

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that writes recordings anew."""
    parser.getgroup("interlock").addoption(
        "--update-recordings",
        action="store_true",
        help="Write what is said now into the recordings, instead of comparing with them.",
    )
