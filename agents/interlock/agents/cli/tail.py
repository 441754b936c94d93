"""`interlock tail`: follows the journal, which has a copy of every message."""

from __future__ import annotations

__all__ = ["app"]

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit

import anyio
import typer

from interlock.agents.cli.broker import connected
from interlock.agents.cli.options import JsonOption, application, settings_of
from interlock.agents.cli.output import Output, reporting
from interlock.agents.cli.watch import Watch
from interlock.agents.cli.when import moment
from interlock.agents.report.tone import Tone
from interlock.agents.settings import Settings
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.transport import Delivery, JournalEntry, Transport, matches
from interlock.protocol.catalogue import Catalogue
from interlock.protocol.codec import decode
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.errors import InvalidMessageError, UsageError
from interlock.protocol.roles import CONSOLE
from interlock.protocol.selection import Selection

app = application()

_PATTERN = re.compile(r"(\*|#|[A-Za-z0-9_-]+)(\.(\*|#|[A-Za-z0-9_-]+))*")
_LOOK = 1.0
"""Seconds between two looks at whether the broker is there."""
_STYLES: Mapping[Tone, str] = {
    Tone.REQUEST: "bold",
    Tone.REPLY: "green",
    Tone.EVENT: "magenta",
    Tone.TROUBLE: "bold red",
}


@app.command()
def tail(
    context: typer.Context,
    pattern: Annotated[
        str, typer.Argument(metavar="PATTERN", help="Of <to>.<type>; * is one word, # any number.")
    ] = "#",
    conversations: Annotated[
        list[str] | None,
        typer.Option(
            "--conversation", "--issue", metavar="ID", help="Only this conversation, or Jira issue. Repeatable."
        ),
    ] = None,
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Only messages of this type. Repeatable.")
    ] = None,
    sender: Annotated[str | None, typer.Option("--from", metavar="NAME", help="Only what this agent says.")] = None,
    receiver: Annotated[str | None, typer.Option("--to", metavar="NAME", help="Only what this agent is told.")] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Begin with what was sent then or later: 30m, 2h, or a time.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Heartbeats as well.")] = False,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="End after this many messages.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show messages as they are sent, until interrupted: who says what to whom, and what it is about.

    From now on, or with --since from then on: the broker's journal keeps a week. Each message is shown once.
    While the broker is away, this waits, and says so once.

    Example: interlock tail '*.infrastructure_ready'. With --json each line of standard output is one envelope.
    """
    with reporting(as_json=as_json) as output:
        if not _PATTERN.fullmatch(pattern):
            raise UsageError(f"'{pattern}' is no pattern of words and dots, like 'qa-agent.#' or '*.plan_ready'")
        clock = SystemClock()
        begin = moment(since, now=clock.now())
        watch = Watch(
            Selection.of(conversations=conversations or (), types=types or (), since=begin),
            sender=sender,
            receiver=receiver,
            heartbeats=everything or "agent_heartbeat" in pattern,
        )
        anyio.run(_follow, pattern, begin, watch, limit, settings_of(context), clock, output)


async def _follow(
    pattern: str,
    since: datetime | None,
    watch: Watch,
    limit: int | None,
    settings: Settings,
    clock: Clock,
    output: Output,
) -> None:
    catalogue = installed_catalogue()
    shown = 0
    async with (
        connected(settings, identity=CONSOLE, clock=clock) as transport,
        transport.observe(pattern) as deliveries,
        aclosing(_arrivals(transport, pattern, since, deliveries)) as arrivals,
    ):
        output.note(f"following '{pattern}' on {await transport.broker_version()}")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_tell_of_absence, transport, _places(settings), clock, output)
            async for arrival in arrivals:
                shown += _show(arrival, watch, catalogue, output)
                if shown == limit:
                    break
            tasks.cancel_scope.cancel()


async def _tell_of_absence(transport: Transport, places: str, clock: Clock, output: Output) -> None:
    """Say once that the broker is away, and once that it is back: what was said in between is not shown."""
    away = False
    while True:
        await clock.sleep(_LOOK)
        if transport.status.connected == away:
            away = not away
            output.note(
                f"the broker at {places} is away: waiting for it"
                if away
                else f"the broker at {places} is back; what was sent meanwhile: interlock tail --since"
            )


def _places(settings: Settings) -> str:
    """Return where the broker is, without who logs in."""
    return ", ".join(urlsplit(url).netloc.rpartition("@")[2] for url in settings.broker_urls(CONSOLE))


async def _arrivals(
    transport: Transport, pattern: str, since: datetime | None, deliveries: AsyncIterator[Delivery]
) -> AsyncGenerator[Delivery | JournalEntry]:
    """Yield what the journal holds, then what comes: observed from before it was read, so that nothing is missed."""
    if since is not None:
        async with transport.history(since=since) as entries:
            async for entry in entries:
                if matches(pattern, entry.routing_key):
                    yield entry
    async for delivery in deliveries:
        yield delivery


def _show(delivery: Delivery | JournalEntry, watch: Watch, catalogue: Catalogue, output: Output) -> bool:
    """Show a message that is meant; returns whether it is."""
    try:
        envelope = decode(delivery.body, catalogue=catalogue, upcast=False)
    except InvalidMessageError as error:
        output.note(f"{delivery.routing_key} from {delivery.sender or 'nobody known'}: cannot be decoded, {error}")
        return not watch.is_selective
    if not watch.admits(envelope) or not watch.is_new(envelope):
        return False
    if output.as_json:
        output.line(envelope.model_dump(mode="json", by_alias=True, exclude_none=True))
    else:
        told = watch.tell(envelope)
        output.say(told.text, style=_STYLES[told.tone])
    return True
