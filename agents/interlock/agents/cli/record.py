"""`interlock record`: what was said, from the journal or from stores, as JSON lines, redacted."""

from __future__ import annotations

__all__ = ["app"]

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import anyio
import typer

from interlock.agents.cli.broker import connected
from interlock.agents.cli.message_file import STANDARD_INPUT
from interlock.agents.cli.options import JsonOption, application, settings_of
from interlock.agents.cli.output import Output, reporting
from interlock.agents.cli.when import moment
from interlock.agents.settings import Settings
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.recorder import recorded
from interlock.bus.store.opening import is_shared, open_reader
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import UsageError
from interlock.protocol.message import Message
from interlock.protocol.recording import write
from interlock.protocol.redaction import Redaction
from interlock.protocol.roles import CONSOLE
from interlock.protocol.selection import Selection

app = application()

_STANDARD_OUTPUT = STANDARD_INPUT


@app.command()
def record(
    context: typer.Context,
    conversations: Annotated[
        list[str] | None, typer.Argument(metavar="[CONVERSATION]…", help="Ids, or keys of Jira issues; default: all.")
    ] = None,
    output_file: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where to write; - is standard output.")
    ] = _STANDARD_OUTPUT,
    types: Annotated[list[str] | None, typer.Option("--type", metavar="TYPE", help="Only these types.")] = None,
    agents: Annotated[
        list[str] | None, typer.Option("--agent", metavar="NAME", help="Only what these agents sent or are to receive.")
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="WHEN", help="Sent then or later: 2h, 7d, or a time.")] = None,
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="Sent before: 2h, 7d, or a time.")] = None,
    stores: Annotated[
        list[str] | None,
        typer.Option(
            "--store", metavar="STORE", help="Read agents' stores, not the journal: files, folders of them, or URLs."
        ),
    ] = None,
    words: Annotated[
        list[str] | None, typer.Option("--redact", metavar="WORD", help="Take this name or phrase out as well.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write messages that were sent as JSON lines, which people can read and edit, and `interlock replay` sends.

    They come from the broker's journal, which keeps a week, or from agents' stores. Each stands once, in the order of
    sending, and never before the message that caused it. Secrets and e-mail addresses are taken out, the same way in
    every run. Heartbeats are left out unless --type agent_heartbeat names them.

    Example: interlock record PROJ-140 -o proj-140.jsonl
    """
    with reporting(as_json=as_json) as output:
        if as_json and output_file == _STANDARD_OUTPUT:
            raise UsageError("with --json standard output is a summary: name a file with --output")
        clock = SystemClock()
        selection = Selection.of(
            conversations=conversations or (),
            types=types or (),
            agents=agents or (),
            since=moment(since, now=clock.now()),
            until=moment(until, now=clock.now()),
        )
        redaction = Redaction(words or ())
        bodies = _stored(stores) if stores else anyio.run(_journalled, settings_of(context), selection, clock)
        catalogue = installed_catalogue()
        envelopes = recorded(bodies, selection=selection, catalogue=catalogue)
        if not envelopes:
            raise UsageError("no such message was found: see what there is with fewer conditions, or --store")
        _write(output, output_file, redaction.apply(envelopes, catalogue=catalogue))


async def _journalled(settings: Settings, selection: Selection, clock: Clock) -> list[bytes]:
    async with (
        connected(settings, identity=CONSOLE, clock=clock) as transport,
        transport.history(since=selection.since) as entries,
    ):
        return [entry.body async for entry in entries]


def _stored(addresses: Sequence[str]) -> list[bytes]:
    bodies: list[bytes] = []
    for address in _expanded(addresses):
        agent = "" if is_shared(address) else Path(address).stem
        with open_reader(address, agent=agent) as reader:
            bodies += reader.messages()
    return bodies


def _expanded(addresses: Sequence[str]) -> Iterable[str]:
    """Return each address, and for a folder those of the stores in it."""
    for address in addresses:
        if is_shared(address) or not Path(address).is_dir():
            yield address
            continue
        files = sorted(str(file) for file in Path(address).glob("*.sqlite"))
        if not files:
            raise UsageError(f"there is no store in {address}: give the state_dir of the running agents")
        yield from files


def _write(output: Output, name: str, envelopes: Sequence[Envelope[Message]]) -> None:
    lines = write(envelopes)
    if name == _STANDARD_OUTPUT:
        sys.stdout.buffer.write(lines)
        sys.stdout.buffer.flush()
        return
    try:
        Path(name).write_bytes(lines)
    except OSError as error:
        raise UsageError(f"the recording cannot be written to {name}: {error.strerror}; name another file") from error
    conversations = {envelope.conversation_id for envelope in envelopes}
    output.say(f"recorded {len(envelopes)} messages of {len(conversations)} conversations in {name}")
    output.document({"file": name, "messages": len(envelopes), "conversations": sorted(conversations)})
