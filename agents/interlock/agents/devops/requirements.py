"""P1, P2: takes in the Jira task and turns its text into a typed specification; a gap is asked about, never guessed."""

from __future__ import annotations

__all__ = ["Requirements"]

import hashlib

from interlock.agents.context import Context
from interlock.agents.devops.analysis import Analysed, NeedsInput, Unsupported, analyse
from interlock.agents.devops.wiki_markup import plain
from interlock.agents.systems.jira.port import JiraPort
from interlock.protocol.messages.change import RequirementsAnalysed, RequirementsAnalysisRequest
from interlock.protocol.messages.task import InputRequired, MissingInput, TaskDeclined

_ISSUE_TYPE = "Infrastructure"
_FINISHED = "Done"


class Requirements:
    """Reads tickets."""

    def __init__(self, jira: JiraPort) -> None:
        self._jira = jira

    async def analyse(
        self, request: RequirementsAnalysisRequest, context: Context
    ) -> RequirementsAnalysed | InputRequired | TaskDeclined:
        """Answer with the specification, with what is missing, or with why this is not for us."""
        issue = await self._jira.issue(request.jira_issue)
        if issue.issue_type != _ISSUE_TYPE:
            reason = f"{issue.key} is a {issue.issue_type}; only issues of type {_ISSUE_TYPE} are provisioned"
            return TaskDeclined(code="unsupported", reason=reason)
        if issue.status == _FINISHED:
            reason = f"{issue.key} is {_FINISHED} already; reopen it to have it carried out again"
            return TaskDeclined(code="already_done", reason=reason)
        if not issue.reporter:
            reason = f"{issue.key} has no reporter, so nobody could be kept from approving a change of their own"
            return TaskDeclined(code="no_reporter", reason=reason)
        match analyse(issue.key, issue.summary, issue.description, issue.labels, answers=request.answers):
            case Analysed() as found:
                return RequirementsAnalysed(
                    jira_issue=issue.key,
                    spec=found.spec,
                    environment=found.environment,
                    budget=found.budget,
                    timeline=found.timeline,
                    author=issue.reporter,
                )
            case NeedsInput(missing=missing):
                await self._ask(issue.key, missing, context)
                return InputRequired(missing=missing)
            case Unsupported(code=code, reason=reason):
                return TaskDeclined(code=code, reason=reason)

    async def _ask(self, key: str, missing: tuple[MissingInput, ...], context: Context) -> None:
        text = questions(missing)
        marker = f"questions-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        await context.once(
            marker, lambda: self._jira.comment(key, text, marker=f"{key}-{marker}"), request=text, repeatable=True
        )


def questions(missing: tuple[MissingInput, ...]) -> str:
    """Return the comment that asks for what is missing."""
    lines = ["h2. Input required", "", "This task cannot go on until these are answered:"]
    for gap in missing:
        found = f": {plain('; '.join(gap.found))}" if gap.found else ""
        lines.append(f"* {gap.field} - {plain(gap.question)} ({gap.cause}{found})")
    return "\n".join(lines)
