"""What the ticket has to say."""

from __future__ import annotations

__all__ = ["jira"]

from interlock.agents.report.markup import Markup, element, fragment
from interlock.agents.report.report import Report
from interlock.agents.report.sections.layout import empty, fold, moment, section, table
from interlock.agents.report.ticket import Ticket, TicketComment


def jira(report: Report) -> Markup:
    """The issue's status, history, comments and attachments, as read back after the run."""
    ticket = report.jira
    lead = f"{ticket.key} is {ticket.status}."
    return section("jira", "Jira", _history(ticket), *map(_comment, ticket.comments), _attachments(ticket), lead=lead)


def _history(ticket: Ticket) -> Markup:
    if not ticket.history:
        return empty("Nothing has changed on the issue.")
    rows = (
        (moment(change.at), change.author, change.field, _text(change.before), _text(change.after))
        for change in ticket.history
    )
    return table(("When (UTC)", "By", "Field", "Before", "After"), rows)


def _text(value: str | None) -> Markup:
    return element("div", value, class_="clipped") if value else element("span", "—", class_="empty")


def _comment(comment: TicketComment) -> Markup:
    title = fragment(f"Comment by {comment.author}, ", moment(comment.created), " UTC")
    return fold(title, element("pre", comment.body, class_="prose"))


def _attachments(ticket: Ticket) -> Markup | None:
    if not ticket.attachments:
        return None
    return element("p", element("span", "Attachments", class_="key"), ", ".join(ticket.attachments), class_="digest")
