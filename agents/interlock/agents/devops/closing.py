"""J3: tells the ticket how a change ended; only an accepted one gets its evidence attached and moves to Done."""

from __future__ import annotations

__all__ = ["Closing"]

import logging
from functools import partial

from interlock.agents.context import Context
from interlock.agents.devops.closing_comment import accepted_comment, ended_comment, plan_output
from interlock.agents.devops.systems import DevopsSystems
from interlock.agents.systems.aws.database import describe_database
from interlock.agents.systems.diagram import architecture_png
from interlock.agents.systems.notification import Notification, NotificationKind
from interlock.protocol.errors import InterlockError, PermanentError
from interlock.protocol.messages.change import ChangeOutcome, EscalationRaised, TicketClosed, TicketCloseRequest

_log = logging.getLogger(__name__)

PLAN_OUTPUT = "terraform-output.txt"
DIAGRAM = "architecture-diagram.png"


class Closing:
    """Writes the last word, once."""

    def __init__(self, systems: DevopsSystems) -> None:
        self._systems = systems

    async def close(self, request: TicketCloseRequest, context: Context) -> TicketClosed:
        """Comment, and for an accepted change attach the evidence, move the issue to Done and announce it."""
        key, jira = request.jira_issue, self._systems.jira
        if request.outcome is not ChangeOutcome.ACCEPTED:
            text = ended_comment(request)
            comment = await context.once(
                "closing-comment",
                lambda: jira.comment(key, text, marker=f"{key}-ended"),
                request=text,
                repeatable=True,
            )
            if request.outcome is ChangeOutcome.FAILED:
                await self._announce(request, context, kind=NotificationKind.DEPLOYMENT_FAILED)
            status = (await jira.issue(key)).status
            return TicketClosed(jira_issue=key, status=status, comment_id=comment, attachments=())
        return await self._accept(request, context)

    async def escalate(self, message: EscalationRaised, context: Context) -> None:
        """Tell the operators that a step is overdue."""
        note = Notification(
            kind=NotificationKind.THRESHOLD_EXCEEDED,
            title=f"{message.jira_issue} waits for {message.waiting_for}",
            lines=(f"state: {message.state}", f"expires at {message.deadline.isoformat(timespec='minutes')}"),
        )
        await self._tell(note, context, key=f"escalation:{message.state}")

    async def _accept(self, request: TicketCloseRequest, context: Context) -> TicketClosed:
        key, jira, spec = request.jira_issue, self._systems.jira, request.spec
        instance = await describe_database(self._systems.aws, spec.identifier) if spec else None
        if spec is None or request.estimate is None or instance is None:
            raise PermanentError(f"{key} cannot be closed as accepted: its database is not there")
        text = accepted_comment(request, instance)
        diagram = architecture_png(
            spec, endpoint=f"{instance.endpoint}:{instance.port}", title=f"{key} {spec.identifier}"
        )
        # Bound to the order, not to the text: what AWS reports of the instance changes from one attempt to the next.
        comment = await context.once(
            "deployed-comment",
            lambda: jira.comment(key, text, marker=f"{key}-deployed"),
            request=request.model_dump(mode="json"),
            repeatable=True,
        )
        output = plan_output(request).encode()
        await context.once("attach-output", lambda: jira.attach(key, PLAN_OUTPUT, output), repeatable=True)
        await context.once("attach-diagram", lambda: jira.attach(key, DIAGRAM, diagram), repeatable=True)
        status = await context.once("done", lambda: jira.transition(key, "Done"), request=key, repeatable=True)
        await self._announce(request, context, kind=NotificationKind.DEPLOYMENT_SUCCEEDED)
        return TicketClosed(jira_issue=key, status=status, comment_id=comment, attachments=(PLAN_OUTPUT, DIAGRAM))

    async def _announce(self, request: TicketCloseRequest, context: Context, *, kind: NotificationKind) -> None:
        subject = request.spec.identifier if request.spec else request.jira_issue
        note = Notification(
            kind=kind,
            title=f"{request.jira_issue}: {subject} {request.outcome}",
            lines=(request.reason[:300],),
        )
        await self._tell(note, context, key=f"announce:{kind}")

    async def _tell(self, note: Notification, context: Context, *, key: str) -> None:
        """Post once to every service. A chat that is away must not hold a change up: it is logged, not retried."""
        for number, chat in enumerate(self._systems.chats):
            try:
                await context.once(f"{key}:{number}", partial(chat.send, note))
            except InterlockError as error:
                _log.warning("%s was not announced by %r: %s", note.title, chat, error)
