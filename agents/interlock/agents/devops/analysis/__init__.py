"""A ticket's text becomes a typed specification, or the questions that stand in its way; nothing is guessed."""

from __future__ import annotations

__all__ = ["Analysed", "Line", "NeedsInput", "Unsupported", "analyse", "lines_of"]

from interlock.agents.devops.analysis.analysis import Analysed, NeedsInput, analyse
from interlock.agents.devops.analysis.document import Line, lines_of
from interlock.agents.devops.analysis.scope import Unsupported
