"""`interlock approvals`: what waits for a person's decision, and the decision itself."""

from __future__ import annotations

__all__ = ["app"]

from collections.abc import Mapping
from typing import Annotated, TypeVar

import anyio
import typer
from pydantic import ValidationError

from interlock.agents.cli.broker import connected, telling
from interlock.agents.cli.decision import Verdict, decide
from interlock.agents.cli.options import JsonOption, application, settings_of
from interlock.agents.cli.output import Output, reporting
from interlock.agents.settings import Settings
from interlock.bus.clock import SystemClock
from interlock.bus.store.opening import open_reader
from interlock.bus.store.reading import StoreReader
from interlock.bus.store.records import ApprovalRow, ApprovalState
from interlock.protocol.errors import UsageError
from interlock.protocol.messages.approval import ApprovalDenied, ApprovalGranted
from interlock.protocol.roles import CONSOLE, COORDINATOR

app = application(help="What waits for a person's decision.", no_args_is_help=True)

ApprovalId = Annotated[str, typer.Argument(metavar="ID", help="As 'approvals list' shows it.")]
Person = Annotated[str, typer.Option("--as", metavar="PERSON", help="Who decides, by account name; kept on record.")]
Timeout = Annotated[
    float, typer.Option(metavar="SECONDS", min=0, help="How long to wait for the coordinator to judge the decision.")
]
VerdictT = TypeVar("VerdictT", ApprovalGranted, ApprovalDenied)


@app.command("list")
def list_approvals(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="Decided ones and voided ones as well.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what waits for a decision, the oldest first, with what would happen."""
    with reporting(as_json=as_json) as output, _opened(settings_of(context)) as reader:
        rows = [row for row in reader.approvals() if everything or row.state is ApprovalState.OPEN]
        for row in rows:
            _say(output, row)
        if not rows:
            output.say("nothing waits for a decision")
        output.document({"approvals": [_document(row) for row in rows]})


@app.command()
def grant(
    context: typer.Context, approval: ApprovalId, person: Person, timeout: Timeout = 10.0, as_json: JsonOption = False
) -> None:
    """Say yes to exactly the digest that was asked about, in a person's name.

    Exit code 1, with the reason, when the decision does not count: expired, used already, or the author's own.
    """
    _decide(context, ApprovalGranted, approval, {"approver": person}, timeout=timeout, as_json=as_json)


@app.command()
def deny(
    context: typer.Context,
    approval: ApprovalId,
    person: Person,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; everyone can read it in the ticket.")],
    timeout: Timeout = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Say no, in a person's name, which ends the change."""
    members = {"approver": person, "reason": reason}
    _decide(context, ApprovalDenied, approval, members, timeout=timeout, as_json=as_json)


def _decide(
    context: typer.Context,
    kind: type[VerdictT],
    approval_id: str,
    members: Mapping[str, str],
    *,
    timeout: float,
    as_json: bool,
) -> None:
    with reporting(as_json=as_json) as output:
        settings = settings_of(context)
        with _opened(settings) as reader:
            asked = reader.approval(approval_id)
            if asked is None:
                raise UsageError(f"there is no approval '{approval_id}'; 'interlock approvals list --all' shows them")
            decided = anyio.run(_send, _verdict(kind, asked, members), asked, settings, reader, timeout)
        output.say(f"approval {decided.id} ({decided.subject}) is {decided.state}, decided by {decided.approver}")
        output.document(_document(decided))


def _verdict(kind: type[VerdictT], asked: ApprovalRow, members: Mapping[str, str]) -> VerdictT:
    document = {"approval_id": asked.id, "subject": asked.subject, "digest": asked.digest, **members}
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        option = {"approver": "--as", "reason": "--reason"}.get(str(first["loc"][0]), f"approval {asked.id}")
        raise UsageError(f"{option}: {first['msg'].removeprefix('Value error, ')}") from error


async def _send(
    verdict: Verdict, asked: ApprovalRow, settings: Settings, reader: StoreReader, timeout: float
) -> ApprovalRow:
    clock = SystemClock()
    async with (
        telling(settings, identity=CONSOLE, clock=clock) as telemetry,
        connected(settings, identity=CONSOLE, clock=clock) as transport,
    ):
        return await decide(
            verdict,
            conversation_id=asked.conversation_id,
            transport=transport,
            reader=reader,
            clock=clock,
            timeout=timeout,
            telemetry=telemetry,
        )


def _opened(settings: Settings) -> StoreReader:
    return open_reader(settings.store_address(COORDINATOR), agent=COORDINATOR)


def _say(output: Output, row: ApprovalRow) -> None:
    decided = f" by {row.approver}" if row.approver else ""
    output.say(f"{row.id}  {row.subject} for {row.environment}: {row.state}{decided}", style="bold")
    output.say(f"    asked by {row.author}, until {row.expires_at.astimezone():%Y-%m-%d %H:%M:%S}, {row.digest}")
    for line in row.summary.splitlines():
        output.say(f"    {line}")


def _document(row: ApprovalRow) -> dict[str, object]:
    return {
        "id": row.id,
        "conversationId": row.conversation_id,
        "subject": row.subject,
        "digest": row.digest,
        "environment": row.environment,
        "author": row.author,
        "summary": row.summary,
        "state": row.state,
        "requestedAt": row.requested_at.isoformat(),
        "expiresAt": row.expires_at.isoformat(),
        "approver": row.approver,
        "decidedAt": row.decided_at.isoformat() if row.decided_at else None,
        "reason": row.reason,
    }
