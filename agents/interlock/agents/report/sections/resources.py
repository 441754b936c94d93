"""What is really there, in the provider's own words."""

from __future__ import annotations

__all__ = ["resources"]

from interlock.agents.report.markup import Markup
from interlock.agents.report.report import Report
from interlock.agents.report.sections.layout import code, document, empty, fold, section


def resources(report: Report) -> Markup:
    """The answers of the provider's describe calls."""
    if not report.resources:
        return section("resources", "Resources", empty("Nothing was read from the provider."))
    answers = (fold(code(call), document(answer)) for call, answer in report.resources.items())
    return section("resources", "Resources", *answers, lead="As AWS describes them.")
