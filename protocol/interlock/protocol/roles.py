"""The names of the team's agents, as they stand in `from` and `to`."""

from __future__ import annotations

__all__ = ["ALL_ROLES", "BACKEND", "CONSOLE", "COORDINATOR", "DEPLOY", "DEVOPS", "QA", "SECURITY", "TEAM"]

COORDINATOR = "coordinator"
DEVOPS = "devops-agent"
BACKEND = "backend-agent"
SECURITY = "security-agent"
DEPLOY = "deploy-agent"
QA = "qa-agent"
CONSOLE = "console"
"""People: the command line and the web console speak under this name, and name the person in the message."""

TEAM = (COORDINATOR, DEVOPS, BACKEND, SECURITY, DEPLOY, QA)
"""Everyone who is a process of its own."""

ALL_ROLES = (*TEAM, CONSOLE)
"""Every name that is not a person."""
