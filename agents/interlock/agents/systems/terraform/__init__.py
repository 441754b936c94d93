"""Terraform: the code that is written, the command line that runs it, and the engine that applies what was approved."""

from __future__ import annotations

__all__ = ["Availability", "PlanResult", "Terraform", "TerraformEngine", "TerraformError", "render"]

from interlock.agents.systems.terraform.cli import PlanResult, Terraform
from interlock.agents.systems.terraform.diagnostics import TerraformError
from interlock.agents.systems.terraform.engine import Availability, TerraformEngine
from interlock.agents.systems.terraform.rendering import render
