"""Looks at everything that an installation consists of, and says what to do; it never changes anything."""

from __future__ import annotations

__all__ = ["CHECKS", "Check", "Examination", "Finding", "Verdict", "Ward", "examine"]

from interlock.agents.doctor.check import Check
from interlock.agents.doctor.examination import CHECKS, Examination, examine
from interlock.agents.doctor.finding import Finding, Verdict
from interlock.agents.doctor.ward import Ward
