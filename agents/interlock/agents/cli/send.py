"""`interlock send`: messages from a file onto the bus, each confirmed by the broker."""

from __future__ import annotations

__all__ = ["app"]

from collections.abc import Sequence, Set
from typing import Annotated, Any

import anyio
import typer

from interlock.agents.cli.broker import connected, telling
from interlock.agents.cli.message_file import admitted, bodies
from interlock.agents.cli.options import JsonOption, application, settings_of
from interlock.agents.cli.output import Output, reporting
from interlock.agents.settings import Settings
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.telemetry import Telemetry
from interlock.bus.transport import Outgoing
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import InvalidMessageError, UsageError

app = application()


@app.command()
def send(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A message, or in .jsonl several; - is standard input.")],
    sender: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Send as this agent, whatever the message says.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Publish messages, in full or in the specification's four-field form, and wait for the broker's confirms.

    All are checked before the first is sent. Prints each message's id and conversation. A message that is in full
    keeps its id, so that sending it again is recognised by its receiver.
    """
    with reporting(as_json=as_json) as output:
        clock = SystemClock()
        envelopes, made_here = _read(file, sender=sender, clock=clock)
        anyio.run(_publish, envelopes, made_here, settings_of(context), clock, output)


def _read(file: str, *, sender: str | None, clock: Clock) -> tuple[Sequence[Envelope[Any]], Set[str]]:
    """Return the messages, and which of their ids the file did not have."""
    catalogue = installed_catalogue()
    envelopes: list[Envelope[Any]] = []
    made_here: set[str] = set()
    for line, body in bodies(file):
        try:
            envelope = admitted(body, now=clock.now(), catalogue=catalogue, sender=sender)
        except InvalidMessageError as error:
            place = file if line is None else f"{file}:{line}"
            path = f"{place}: {error.path or 'message'}"
            raise InvalidMessageError(error.code, f"{error.reason}; nothing was sent", path=path) from error
        envelopes.append(envelope)
        if envelope.id.encode() not in body:
            made_here.add(envelope.id)
    if not envelopes:
        raise UsageError(f"{file} has no message in it")
    if len({envelope.sender for envelope in envelopes}) > 1:
        raise UsageError(f"{file} has messages of several senders: send those of one at a time, or give --from")
    return envelopes, made_here


async def _publish(
    envelopes: Sequence[Envelope[Any]], made_here: Set[str], settings: Settings, clock: Clock, output: Output
) -> None:
    sent: list[dict[str, str]] = []
    identity = envelopes[0].sender
    async with (
        telling(settings, identity=identity, clock=clock) as telemetry,
        connected(settings, identity=identity, clock=clock) as transport,
    ):
        for envelope in envelopes:
            if envelope.id in made_here:
                envelope = _traced(envelope, telemetry)
            outgoing = Outgoing.of(envelope)
            with telemetry.sending(outgoing, attempt=1):
                await transport.publish(outgoing)
            output.say(
                f"sent {envelope.type} to {envelope.receiver}: "
                f"message {envelope.id}, conversation {envelope.conversation_id}"
            )
            sent.append(
                {
                    "id": envelope.id,
                    "conversationId": envelope.conversation_id,
                    "from": envelope.sender,
                    "to": envelope.receiver,
                    "type": envelope.type,
                }
            )
    output.document({"sent": sent})


def _traced(envelope: Envelope[Any], telemetry: Telemetry) -> Envelope[Any]:
    """Have a message that begins its conversation begin the trace as well.

    Others stay as they are: whether a ticket's conversation has begun is known to its receiver's store alone. Nor is
    this for what came with an id: sent again, it must have the same bytes, whether traces are on or not.
    """
    if envelope.traceparent is not None or envelope.id != envelope.conversation_id:
        return envelope
    return envelope.model_copy(update={"traceparent": telemetry.uncaused(envelope.id, envelope.conversation_id)})
