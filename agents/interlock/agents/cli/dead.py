"""`interlock dead`: what was given up or refused, why, and the repair of it, in a person's name."""

from __future__ import annotations

__all__ = ["app"]

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import anyio
import typer

from interlock.agents.cli.edit import Edit
from interlock.agents.cli.editor import kept
from interlock.agents.cli.letter_box import LetterBox
from interlock.agents.cli.letters import Address, Selection, document, groups, say_groups, say_letter
from interlock.agents.cli.options import JsonOption, application, settings_of
from interlock.agents.cli.output import ExitCode, Output, reporting
from interlock.agents.cli.repairing import Workshop
from interlock.agents.settings import Settings
from interlock.bus.clock import SystemClock
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.errors import UsageError
from interlock.protocol.messages.repair import RepairAction
from interlock.protocol.roles import CONSOLE

app = application(help="What was given up or refused, and its repair.", no_args_is_help=True)

Letters = Annotated[list[str] | None, typer.Argument(metavar="ID", help="As 'dead list' shows them.")]
Letter = Annotated[str, typer.Argument(metavar="ID", help="As 'dead list' shows it, like backend-agent/12.")]
Agents = Annotated[
    list[str] | None,
    typer.Option(
        "--agent", metavar="NAME", help="Only this one's; default: all with a store in state_dir. Repeatable."
    ),
]
Type = Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only messages of this type.")]
Conversation = Annotated[
    str | None,
    typer.Option("--conversation", "--issue", metavar="ID", help="Only of this conversation, or Jira issue."),
]
FailedWith = Annotated[
    str | None, typer.Option("--failed-with", metavar="TEXT", help="Only those whose reason has this in it.")
]
Everything = Annotated[bool, typer.Option("--all", help="All that the other options leave.")]
Person = Annotated[str | None, typer.Option("--as", metavar="PERSON", help="Who does this; kept on record.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept on record.")]
Rate = Annotated[float, typer.Option(metavar="N", min=0.01, max=1000, help="At most so many a second.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Timeout = Annotated[float, typer.Option(metavar="SECONDS", min=0.1, help="How long a running agent may take.")]


@app.command("list")
def list_letters(
    context: typer.Context,
    agents: Agents = None,
    type: Type = None,  # noqa: A002 - the option's name
    conversation: Conversation = None,
    failed_with: FailedWith = None,
    timeout: Timeout = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Show dead letters by reason: how many, whose, since when, and their names."""
    with reporting(as_json=as_json) as output:
        selection = _selection(None, agents, type, conversation, failed_with)
        found = anyio.run(_workshop(context, output, timeout).chosen, selection)
        say_groups(output, found)
        if not found:
            output.say("there are no dead letters")
        output.document(
            {
                "groups": [{"reason": reason, "count": len(items)} for reason, items in groups(found)],
                "letters": [document(item) for item in found],
            }
        )


@app.command()
def show(
    context: typer.Context,
    letter: Letter,
    payload: Annotated[
        bool, typer.Option("--payload", help="Show the message as well; it may say what is not for everybody.")
    ] = False,
    timeout: Timeout = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter: every attempt with its error, what was repaired by whom, and what a retry would do."""
    with reporting(as_json=as_json) as output:
        address = Address.parse(letter)
        item = anyio.run(_workshop(context, output, timeout).one, address, payload)
        say_letter(output, item)
        output.document(document(item))


@app.command()
def retry(
    context: typer.Context,
    letters: Letters = None,
    agents: Agents = None,
    type: Type = None,  # noqa: A002 - the option's name
    conversation: Conversation = None,
    failed_with: FailedWith = None,
    everything: Everything = False,
    person: Person = None,
    reason: Why = "",
    rate: Rate = 10.0,
    dry_run: DryRun = False,
    timeout: Timeout = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Give dead messages all their attempts again, and have parked ones judged anew.

    Exit code 1 when one of them could not be.
    """
    with reporting(as_json=as_json) as output:
        chosen = _selection(letters, agents, type, conversation, failed_with)
        _insist(chosen, everything=everything)
        shop = _workshop(context, output, timeout)
        _repair(output, shop, RepairAction.RETRY, chosen, person=person, reason=reason, rate=rate, dry_run=dry_run)


@app.command()
def drop(
    context: typer.Context,
    reason: Why,
    letters: Letters = None,
    agents: Agents = None,
    type: Type = None,  # noqa: A002 - the option's name
    conversation: Conversation = None,
    failed_with: FailedWith = None,
    everything: Everything = False,
    person: Person = None,
    rate: Rate = 10.0,
    dry_run: DryRun = False,
    timeout: Timeout = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Leave messages unhandled for good. Dead ones stay in the store with their history; parked ones are gone.

    Exit code 1 when one of them could not be.
    """
    with reporting(as_json=as_json) as output:
        chosen = _selection(letters, agents, type, conversation, failed_with)
        _insist(chosen, everything=everything)
        shop = _workshop(context, output, timeout)
        _repair(output, shop, RepairAction.DROP, chosen, person=person, reason=reason, rate=rate, dry_run=dry_run)


@app.command()
def edit(
    context: typer.Context,
    letter: Letter,
    payload: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The new payload, as JSON; default: opened in your editor.")
    ] = None,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change one member, like items.0.size=20. Repeatable."),
    ] = None,
    version: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="The new payload's version, where it is another.")
    ] = None,
    person: Person = None,
    reason: Why = "",
    dry_run: DryRun = False,
    timeout: Timeout = 10.0,
    as_json: JsonOption = False,
) -> None:
    """Put a corrected message in the place of a dead letter, under an id of its own, in its sender's name.

    The difference is shown, and checked against the catalogue, before anything happens. Exit code 3 when there is none.
    """
    with reporting(as_json=as_json) as output:
        address = Address.parse(letter)
        by = "nobody" if dry_run else _named(person)  # asked for before somebody writes in an editor
        shop = _workshop(context, output, timeout)
        item = anyio.run(shop.one, address, True)
        change = Edit.of(item, payload=payload, assignments=assignments or (), version=version)
        if not change.difference:
            output.say(f"{address} would be as it is: nothing was done")
            output.document({"id": letter, "difference": "", "outcomes": []})
            raise typer.Exit(ExitCode.ENDED_OTHERWISE)
        output.say(change.difference)
        with _keeping(change, letter, output):
            change.check()
        if dry_run:
            output.say(f"{address} would be edited; nothing was done")
            output.document({"id": letter, "difference": change.difference, "outcomes": []})
            return
        order = shop.order(RepairAction.EDIT, by=by, reason=reason, payload=change.payload, version=version)
        with _keeping(change, letter, output):
            outcomes = anyio.run(shop.repair, order, [item], 1.0)
            output.document({"id": letter, "difference": change.difference, "outcomes": outcomes})
            if any(outcome["outcome"] != "done" for outcome in outcomes):
                raise typer.Exit(ExitCode.FAILURE)


@contextmanager
def _keeping(change: Edit, letter: str, output: Output) -> Generator[None]:
    """Whatever ends this early: what a person has written in an editor stays, and they are told how to go on."""
    try:
        yield
    except BaseException:
        if change.written is not None:
            file = kept(change.written)
            output.note(f"what you wrote is in {file}; correct it, and: interlock dead edit {letter} --payload {file}")
        raise


def _workshop(context: typer.Context, output: Output, timeout: float) -> Workshop:
    settings, clock = settings_of(context), SystemClock()

    def letter_box(agent: str) -> LetterBox:
        return LetterBox(agent, settings=settings, clock=clock, timeout=timeout)

    return Workshop(letter_box, agents=_known(settings), clock=clock, output=output)


def _known(settings: Settings) -> Sequence[str]:
    """Return the agents whose stores are here; in a database, those of the catalogue."""
    if settings.store_url is None:
        return sorted(file.stem for file in settings.state_dir.glob("*.sqlite"))
    return sorted(installed_catalogue().agents() - {CONSOLE})


def _selection(
    letters: list[str] | None,
    agents: list[str] | None,
    type: str | None,  # noqa: A002 - the option's name
    conversation: str | None,
    failed_with: str | None,
) -> Selection:
    return Selection(
        addresses=tuple(Address.parse(letter) for letter in dict.fromkeys(letters or ())),
        agents=tuple(agents or ()),
        type=type,
        conversation=conversation,
        failed_with=failed_with,
    )


def _insist(chosen: Selection, *, everything: bool) -> None:
    """Raise UsageError unless it was said which letters are meant, in one way."""
    selects = replace(chosen, addresses=()) != Selection()
    if chosen.addresses and (selects or everything):
        raise UsageError("name letters one by one, or select them by options; not both")
    if not (chosen.addresses or selects or everything):
        raise UsageError("which ones? Give their names, select them by --failed-with and others, or give --all")


def _repair(
    output: Output,
    shop: Workshop,
    action: RepairAction,
    chosen: Selection,
    *,
    person: str | None,
    reason: str,
    rate: float,
    dry_run: bool,
) -> None:
    order = shop.order(action, by=person or "nobody" if dry_run else _named(person), reason=reason)
    items = anyio.run(shop.chosen, chosen)
    if dry_run:
        say_groups(output, items)
        output.say(f"{len(items)} would be given to {action}; nothing was done")
        output.document({"dryRun": True, "letters": [document(item) for item in items], "outcomes": []})
        return
    outcomes = anyio.run(shop.repair, order, items, rate)
    if not outcomes:
        output.say("there is nothing to repair")
    output.document({"dryRun": False, "outcomes": outcomes})
    if any(outcome["outcome"] != "done" for outcome in outcomes):
        raise typer.Exit(ExitCode.FAILURE)


def _named(person: str | None) -> str:
    if not person:
        raise UsageError("--as PERSON is missing: who does this? It is kept on record")
    return person
