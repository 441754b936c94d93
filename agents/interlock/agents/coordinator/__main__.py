"""Prints the page about the Change workflow: `python -m interlock.agents.coordinator > docs/workflows/change.md`."""

from __future__ import annotations

__all__ = ["page"]

import sys

from interlock.agents.coordinator.change import Change
from interlock.agents.workflow.diagram import document


def page() -> str:
    """Return docs/workflows/change.md as it has to be."""
    return document(Change, command="python -m interlock.agents.coordinator")


if __name__ == "__main__":
    sys.stdout.write(page())
