"""The command line `interlock`."""

from interlock.agents.cli.app import main

__all__ = ["main"]
