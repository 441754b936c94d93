"""`interlock workflows`: where every change stands, read from the coordinator's store beside its owner."""

from __future__ import annotations

__all__ = ["app"]

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from interlock.agents.cli import path
from interlock.agents.cli.options import JsonOption, application, settings_of
from interlock.agents.cli.output import Output, reporting
from interlock.agents.coordinator.change import Change
from interlock.agents.coordinator.data import ChangeData
from interlock.agents.report.path_picture import Caption
from interlock.agents.workflow.diagram import mermaid
from interlock.agents.workflow.path import Visit, path_taken
from interlock.agents.workflow.workflow import OVERDUE
from interlock.bus.store.opening import open_reader
from interlock.bus.store.reading import StoreReader
from interlock.bus.store.records import ApprovalRow, AuditRow, WorkflowRow
from interlock.protocol.errors import UsageError
from interlock.protocol.ids import conversation_of
from interlock.protocol.messages.change import ChangeOutcome
from interlock.protocol.roles import COORDINATOR

app = application(help="Where every change stands.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class _Stand:
    """One change as it is stored."""

    row: WorkflowRow
    data: ChangeData

    @classmethod
    def of(cls, row: WorkflowRow) -> _Stand:
        """Read the stored state. Raises UsageError when another release has written it."""
        try:
            return cls(row, ChangeData.model_validate_json(row.state))
        except ValidationError as error:
            raise UsageError(
                f"workflow {row.id} was stored by another release: use the release that the coordinator runs"
            ) from error

    @property
    def waits_for(self) -> str:
        """Who has to do something next; empty when it has ended."""
        state = Change.table.states.get(self.row.status)
        return "" if state is None or self.row.ended else state.waits_for

    def document(self) -> dict[str, object]:
        """For programs."""
        return {
            "issue": self.data.jira_issue,
            "conversationId": self.row.id,
            "state": self.row.status,
            "waitsFor": self.waits_for or None,
            "ended": self.row.ended,
            "outcome": self.data.outcome,
            "reason": self.data.reason or None,
            "updatedAt": self.row.updated_at.isoformat(),
        }


@app.command("list")
def list_workflows(context: typer.Context, as_json: JsonOption = False) -> None:
    """Show every change with its state and who has to act, the latest first."""
    with reporting(as_json=as_json) as output, _opened(context) as reader:
        stands = [_Stand.of(row) for row in reader.workflows() if row.kind == Change.kind]
        if stands:
            headings = ("ISSUE", "STATE", "WAITS FOR", "UPDATED")
            output.table(
                headings,
                [(s.data.jira_issue, s.row.status, s.waits_for or "-", _moment(s.row.updated_at)) for s in stands],
            )
        else:
            output.say("no changes yet")
        output.document({"workflows": [stand.document() for stand in stands]})


@app.command()
def show(
    context: typer.Context,
    issue: Annotated[str, typer.Argument(metavar="ISSUE", help="A Jira issue, or a conversation's id.")],
    diagram: Annotated[bool, typer.Option("--diagram", help="Draw the workflow as Mermaid, at its state.")] = False,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write its way through the states as a picture, .svg or .png by the name."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show one change: state, what it waits for, its way through the states, approvals, checks and history."""
    with reporting(as_json=as_json) as output, _opened(context) as reader:
        row = reader.workflow(conversation_of(issue)) or reader.workflow(issue)
        if row is None or row.kind != Change.kind:
            raise UsageError(f"no change is known for '{issue}'; 'interlock workflows list' shows all")
        stand = _Stand.of(row)
        if diagram:
            drawing = f"{mermaid(Change)}    classDef current fill:#ffd54f\n    class {row.status} current"
            output.say(drawing)
            output.document({**stand.document(), "diagram": drawing})
            return
        history = reader.audit(conversation_id=row.id)
        taken = path_taken(Change.table, history)
        if picture is not None:
            path.write(picture, taken, _caption(stand))
            output.say(f"{picture}: the way of {stand.data.jira_issue} through {len(taken)} states")
            output.document({**stand.document(), "picture": str(picture), "path": path.document(taken)})
            return
        approvals = reader.approvals(conversation_id=row.id)
        overdue = next((timer.due_at for timer in reader.timers(row.id) if timer.name == OVERDUE), None)
        _say(output, stand, taken=taken, approvals=approvals, history=history, overdue=overdue)
        output.document(
            {
                **stand.document(),
                "deadline": overdue.isoformat() if overdue else None,
                "path": path.document(taken),
                "missing": [item.model_dump(mode="json", by_alias=True) for item in stand.data.missing],
                "approvals": [_approval(approval) for approval in approvals],
                "checks": [check.model_dump(mode="json", by_alias=True) for check in stand.data.checks],
                "history": [_event(line) for line in history],
            }
        )


def _opened(context: typer.Context) -> StoreReader:
    return open_reader(settings_of(context).store_address(COORDINATOR), agent=COORDINATOR)


def _say(
    output: Output,
    stand: _Stand,
    *,
    taken: Sequence[Visit],
    approvals: Sequence[ApprovalRow],
    history: Sequence[AuditRow],
    overdue: datetime | None,
) -> None:
    until = f", until {_moment(overdue)}" if overdue else ""
    waits = f", waits for {stand.waits_for}{until}" if stand.waits_for else ""
    output.say(f"{stand.data.jira_issue} is {stand.row.status}{waits}", style="bold")
    if stand.data.reason:
        output.say(f"reason: {_one_line(stand.data.reason)}")
    for item in stand.data.missing:
        output.say(f"missing: {item.field}: {_one_line(item.question)}")
    output.say("\npath", style="bold")
    path.say(output, taken)
    if approvals:
        output.say("\napprovals", style="bold")
        output.table(
            ("ID", "SUBJECT", "STATE", "BY", "EXPIRES"),
            [(a.id, a.subject, a.state, a.approver or "-", _moment(a.expires_at)) for a in approvals],
        )
    if stand.data.checks:
        output.say("\nchecks", style="bold")
        output.table(
            ("CHECK", "VERDICT", "TITLE", "EVIDENCE"),
            [(check.id, check.verdict, check.title, check.evidence) for check in stand.data.checks],
        )
    output.say("\nhistory", style="bold")
    output.table(
        ("TIME", "ACTOR", "ACTION", "DETAILS"),
        [(_moment(e.at), e.entry.actor, e.entry.action, _pairs(e.entry.details)) for e in history],
    )


def _caption(stand: _Stand) -> Caption:
    now = f"waits for {stand.waits_for}" if stand.waits_for else _one_line(stand.data.reason)
    return Caption(
        title=f"{stand.data.jira_issue}: {stand.row.status.replace('_', ' ')}",
        note=now,
        ended=stand.row.ended,
        good=stand.data.outcome in {None, ChangeOutcome.ACCEPTED},
    )


def _approval(row: ApprovalRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "subject": row.subject,
        "digest": row.digest,
        "environment": row.environment,
        "state": row.state,
        "approver": row.approver,
        "expiresAt": row.expires_at.isoformat(),
    }


def _event(line: AuditRow) -> dict[str, Any]:
    entry = line.entry
    return {"at": line.at.isoformat(), "actor": entry.actor, "action": entry.action, "details": dict(entry.details)}


def _moment(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _pairs(details: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in details.items())


def _one_line(text: str) -> str:
    return " ".join(text.split())
