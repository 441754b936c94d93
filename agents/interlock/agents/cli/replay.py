"""`interlock replay`: a recording onto a bus, each message as its recorded sender."""

from __future__ import annotations

__all__ = ["app"]

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Annotated
from urllib.parse import unquote, urlsplit

import anyio
import typer

from interlock.agents.cli.broker import connected
from interlock.agents.cli.message_file import admitted, bodies
from interlock.agents.cli.options import JsonOption, application, settings_of
from interlock.agents.cli.output import Output, reporting
from interlock.agents.settings import Settings
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.transport import Outgoing
from interlock.protocol.catalogue import Catalogue
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InterlockError, InvalidMessageError, UsageError
from interlock.protocol.message import Message
from interlock.protocol.renewal import renewed

app = application()


@app.command()
def replay(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A recording; - is standard input.")],
    receiver: Annotated[
        str | None, typer.Option("--to", metavar="NAME", help="Only what this agent was sent: fill its inbox.")
    ] = None,
    speed: Annotated[
        float | None,
        typer.Option(metavar="FACTOR", min=0.001, help="Keep the recorded pauses, this much faster; default: none."),
    ] = None,
    as_recorded: Annotated[bool, typer.Option("--as-recorded", help="The same as --speed 1.")] = False,
    keep_ids: Annotated[
        bool, typer.Option("--keep-ids", help="Send the recorded ids: who has had a message already ignores it.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent; needs no broker.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Send what a recording says that agents sent, in its order, each confirmed by the broker before the next.

    Messages and conversations get new ids, consistently, and every time in them is moved so that the first is now.
    Each message is sent over its sender's own login, from [broker.passwords] in the settings: nothing is sent unless
    all of them are there and every message is allowed. What agents answer to it is sent beside what is replayed; with
    --to only one agent is spoken to.

    Example: interlock replay proj-140.jsonl --to backend-agent --dry-run
    """
    with reporting(as_json=as_json) as output:
        if as_recorded and speed is not None:
            raise UsageError("--as-recorded is --speed 1: give one of them")
        clock = SystemClock()
        catalogue = installed_catalogue()
        recording = _read(file, clock=clock, catalogue=catalogue)
        chosen = [envelope for envelope in recording if receiver in {None, envelope.receiver}]
        if not chosen:
            raise UsageError(f"{file} has no message to {receiver}" if receiver else f"{file} has no message in it")
        envelopes = renewed(chosen, now=clock.now(), keep_ids=keep_ids, catalogue=catalogue)
        if dry_run:
            _show(output, envelopes)
            return
        anyio.run(_send, envelopes, 1.0 if as_recorded else speed, settings_of(context), clock, output)


def _read(file: str, *, clock: Clock, catalogue: Catalogue) -> Sequence[Envelope[Message]]:
    envelopes: list[Envelope[Message]] = []
    for line, body in bodies(file, lines=True):
        try:
            envelopes.append(admitted(body, now=clock.now(), catalogue=catalogue))
        except InvalidMessageError as error:
            path = f"{file}:{line}: {error.path or 'message'}"
            raise InvalidMessageError(error.code, f"{error.reason}; nothing was sent", path=path) from error
    return envelopes


async def _send(
    envelopes: Sequence[Envelope[Message]], speed: float | None, settings: Settings, clock: Clock, output: Output
) -> None:
    senders = sorted({envelope.sender for envelope in envelopes})
    _refuse_missing_logins(senders, settings)
    begun, sent = clock.monotonic(), 0
    async with AsyncExitStack() as stack:
        transports = {
            name: await stack.enter_async_context(connected(settings, identity=name, clock=clock)) for name in senders
        }
        try:
            for envelope in envelopes:
                if speed is not None:
                    due = (envelope.sent_at - envelopes[0].sent_at).total_seconds() / speed
                    await clock.sleep(begun + due - clock.monotonic())
                await transports[envelope.sender].publish(Outgoing.of(envelope))
                sent += 1
                output.say(f"sent {_line(envelope)}")
        except InterlockError:
            output.note(f"{sent} of {len(envelopes)} messages were sent before it failed")
            raise
        finally:
            output.document({"sent": [_document(envelope) for envelope in envelopes[:sent]], "of": len(envelopes)})


def _refuse_missing_logins(senders: Sequence[str], settings: Settings) -> None:
    """The broker lets nobody send in another's name: say so before anything is sent."""
    missing = [
        name
        for name in senders
        if any(unquote(urlsplit(url).username or "guest") != name for url in settings.broker_urls(name))
    ]
    if missing:
        raise UsageError(
            f"there is no login for {', '.join(missing)}, as whom messages would be sent; nothing was sent: give their "
            "passwords under [broker.passwords] in interlock.toml, as 'interlock broker up' writes them"
        )


def _show(output: Output, envelopes: Sequence[Envelope[Message]]) -> None:
    first = envelopes[0].sent_at
    output.table(
        ("after", "from", "to", "type", "message"),
        [
            (
                f"{(envelope.sent_at - first).total_seconds():.1f} s",
                envelope.sender,
                envelope.receiver,
                envelope.type,
                envelope.id,
            )
            for envelope in envelopes
        ],
    )
    output.note(f"{len(envelopes)} messages would be sent; nothing was")
    output.document({"wouldSend": [_document(envelope) for envelope in envelopes]})


def _line(envelope: Envelope[Message]) -> str:
    return f"{envelope.type} from {envelope.sender} to {envelope.receiver}: message {envelope.id}"


def _document(envelope: Envelope[Message]) -> dict[str, str]:
    return {
        "id": envelope.id,
        "conversationId": envelope.conversation_id,
        "from": envelope.sender,
        "to": envelope.receiver,
        "type": envelope.type,
    }
