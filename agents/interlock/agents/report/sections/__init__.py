"""The parts of the report's page, one per question that a reader has; none knows where it stands on the page."""

from interlock.agents.report.sections.approvals import approvals
from interlock.agents.report.sections.architecture import architecture
from interlock.agents.report.sections.banner import banner
from interlock.agents.report.sections.checks import checks
from interlock.agents.report.sections.cost import cost
from interlock.agents.report.sections.environment import environment
from interlock.agents.report.sections.jira import jira
from interlock.agents.report.sections.messages import messages
from interlock.agents.report.sections.plan import plan
from interlock.agents.report.sections.resources import resources
from interlock.agents.report.sections.states import states

__all__ = [
    "approvals",
    "architecture",
    "banner",
    "checks",
    "cost",
    "environment",
    "jira",
    "messages",
    "plan",
    "resources",
    "states",
]
