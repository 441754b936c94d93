"""`interlock tail`: follows the journal, which has a copy of every message."""

from __future__ import annotations

__all__ = ["app"]

import re
from typing import Annotated

import anyio
import typer

from interlock.agents.cli.broker import connected
from interlock.agents.cli.options import JsonOption, settings_of
from interlock.agents.cli.output import Output, reporting
from interlock.agents.settings import Settings
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.transport import Delivery
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError, UsageError
from interlock.protocol.message import Message
from interlock.protocol.roles import CONSOLE

app = typer.Typer()

_PATTERN = re.compile(r"(\*|#|[A-Za-z0-9_-]+)(\.(\*|#|[A-Za-z0-9_-]+))*")


@app.command()
def tail(
    context: typer.Context,
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Of <to>.<type>; * is one word, # any number.")
    ] = "#",
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="End after this many messages.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show messages as they are sent, from now on, until interrupted.

    Example: interlock tail '*.infrastructure_ready'. With --json each line of standard output is one envelope.
    """
    with reporting(as_json=as_json) as output:
        if not _PATTERN.fullmatch(pattern):
            raise UsageError(f"'{pattern}' is no pattern of words and dots, like 'qa-agent.#' or '*.plan_ready'")
        anyio.run(_follow, pattern, limit, settings_of(context), SystemClock(), output)


async def _follow(pattern: str, limit: int | None, settings: Settings, clock: Clock, output: Output) -> None:
    seen = 0
    async with (
        connected(settings, identity=CONSOLE, clock=clock) as transport,
        transport.observe(pattern) as deliveries,
    ):
        output.note(f"following '{pattern}' on {await transport.broker_version()}")
        async for delivery in deliveries:
            _show(delivery, output)
            seen += 1
            if seen == limit:
                return


def _show(delivery: Delivery, output: Output) -> None:
    try:
        envelope = decode(delivery.body)
    except InvalidMessageError as error:
        output.note(f"{delivery.routing_key} from {delivery.sender or 'nobody known'}: cannot be decoded, {error}")
        return
    if output.as_json:
        output.line(envelope.model_dump(mode="json", by_alias=True, exclude_none=True))
    else:
        output.say(_line(envelope))


def _line(envelope: Envelope[Message]) -> str:
    at = envelope.sent_at.astimezone().strftime("%H:%M:%S")
    issue = getattr(envelope.payload, "jira_issue", None)
    about = issue if isinstance(issue, str) else f"conversation {envelope.conversation_id}"
    return f"{at} {envelope.sender} -> {envelope.receiver} {envelope.type} {about} {envelope.id}"
