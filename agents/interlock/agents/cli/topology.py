"""`interlock topology`: what the broker should hold, compared with what it holds, and brought there step by step."""

from __future__ import annotations

__all__ = ["app"]

from pathlib import Path
from typing import Annotated

import anyio
import typer

from interlock.agents.administering import administration_of
from interlock.agents.blueprint import announcements, intended_topology
from interlock.agents.cli.drift_text import drift_document, drift_lines, how_to_move, orphan_document, steps, summary
from interlock.agents.cli.options import JsonOption, application, settings_of
from interlock.agents.cli.output import ExitCode, Output, reporting
from interlock.agents.cli.private_file import write_private
from interlock.agents.permissions import allowed_rows
from interlock.agents.settings import Settings
from interlock.bus.clock import SystemClock
from interlock.bus.rabbitmq import definitions
from interlock.bus.rabbitmq.administration import Administration
from interlock.bus.rabbitmq.drift import Change, Drift, Orphan
from interlock.bus.rabbitmq.topology import Queue
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.errors import UsageError
from interlock.protocol.roles import ALL_ROLES, CONSOLE

app = application(no_args_is_help=True)

_BLIND = "what is too much was not looked for: set broker.management_url"


@app.callback()
def topology() -> None:
    """Compare the broker with what it should hold, and bring it there."""


@app.command("plan")
def show(
    context: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Exit with 1 when anything differs.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show what is missing (+), has to be replaced (~) and is too much (-); change nothing."""
    with reporting(as_json=as_json) as output:
        drift = anyio.run(_look, settings_of(context))
        _say(drift, output)
        output.document(drift_document(drift))
        if check and not drift.is_empty:
            raise typer.Exit(ExitCode.FAILURE)


@app.command()
def apply(
    context: typer.Context,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Also replace queues whose arguments differ, moving their messages.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Declare what is missing. Exits with 1 when something has to be replaced, and was not.

    With --migrate a queue's messages go to <queue>.moving and come back, in order and under their senders' names; stop
    the queue's agent before that. Interrupted, it is gone on with by the same command.
    """
    with reporting(as_json=as_json) as output:
        if not anyio.run(_apply, settings_of(context), migrate, output):
            raise typer.Exit(ExitCode.FAILURE)


@app.command()
def prune(
    context: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it, only say what would be deleted.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing, whatever else is said.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete what nothing declares any more: empty queues without consumers, and bindings.

    Exits with 1 when something was left, with the reason, and with 3 when --yes was missing.
    """
    with reporting(as_json=as_json) as output:
        code = anyio.run(_prune, settings_of(context), yes and not dry_run, dry_run, output)
        if code:
            raise typer.Exit(code)


@app.command("definitions")
def users(
    write: Annotated[Path, typer.Option(metavar="FILE", help="What the broker loads; salted hashes only.")] = Path(
        "definitions.json"
    ),
    passwords: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write each user's password there (mode 0600); default: standard output."),
    ] = None,
    observer: Annotated[
        list[str] | None, typer.Option(metavar="AGENT", help="Who may see copies of every message; default: console.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write users and permissions that follow from the catalogue, with fresh passwords.

    Load them with `rabbitmqctl import_definitions FILE`, and put the passwords into your secret store.
    """
    with reporting(as_json=as_json) as output:
        catalogue = installed_catalogue()
        names = sorted({*ALL_ROLES, *catalogue.agents()})
        observers = observer or [CONSOLE]
        if unknown := set(observers) - set(names):
            raise UsageError(f"no message names {', '.join(sorted(unknown))}; known are {', '.join(names)}")
        made = definitions(allowed_rows(names, catalogue=catalogue), observers=observers)
        # The passwords first: definitions whose passwords nobody has would replace good ones.
        if passwords is not None:
            write_private(passwords, "".join(f"{name}\t{password}\n" for name, password in made.passwords.items()))
        write_private(write, made.to_json() + "\n")
        if passwords is not None:
            output.say(f"{len(made.passwords)} users are in {write}, their passwords in {passwords}")
        else:
            output.table(("user", "password"), [*made.passwords.items()])
            output.note(f"{len(made.passwords)} users are in {write}; the passwords above are nowhere else")
        shown = {} if passwords else {"passwords": dict(made.passwords)}
        output.document({"definitions": str(write), "users": list(made.passwords), **shown})


async def _look(settings: Settings) -> Drift:
    async with administration_of(settings, clock=SystemClock()) as administration:
        return await _drift(administration, settings)


async def _drift(administration: Administration, settings: Settings) -> Drift:
    catalogue = installed_catalogue()
    intended = intended_topology({*ALL_ROLES, *catalogue.agents()}, settings.topology)
    return await administration.drift(intended, announcements=announcements(catalogue))


async def _apply(settings: Settings, migrate: bool, output: Output) -> bool:
    async with administration_of(settings, clock=SystemClock()) as administration:
        drift = await _drift(administration, settings)
        await administration.add(drift)
        output.say("\n".join(f"  + {item}" for item in drift.missing) or "nothing was missing")
        replaced: list[str] = []
        refused: list[Change] = [change for change in drift.changes if not (migrate and change.is_movable)]
        if migrate:
            for queue in _replaceable(drift):
                await administration.replace(queue, planned=drift.plan, tell=output.note)
                output.say(f"  ~ queue {queue.name} was replaced")
                replaced.append(queue.name)
        for change in refused:
            output.say(f"  ! {change.name} is as it was:")
            output.say("\n".join(f"      {difference}" for difference in change.differences))
            if not change.is_movable:
                output.say("\n".join(f"      -> {step}" for step in steps(change)))
        for line in how_to_move([change for change in refused if change.is_movable]):
            output.say(line)
        left = () if migrate else drift.interrupted
        for name in left:
            output.say(f"  ! the replacement of {name} was interrupted: --migrate goes on with it")
        output.document(
            {
                "added": [str(item) for item in drift.missing],
                "replaced": replaced,
                "refused": [{"name": change.name, "steps": list(steps(change))} for change in refused],
                "interrupted": list(left),
            }
        )
        return not refused and not left


def _replaceable(drift: Drift) -> list[Queue]:
    """Return what is to be replaced, parking queues first: what is refused meanwhile must find one."""
    changed = {change.name for change in drift.changes if change.is_movable} | set(drift.interrupted)
    return [queue for queue in drift.plan.queues if queue.name in changed]


async def _prune(settings: Settings, delete: bool, dry_run: bool, output: Output) -> ExitCode:
    async with administration_of(settings, clock=SystemClock()) as administration:
        drift = await _drift(administration, settings)
        if administration.management is None:
            raise UsageError(_BLIND)
        if not delete:
            output.say("\n".join(f"  - {_text(orphan)}" for orphan in drift.orphans) or "nothing is too much")
            output.document({"orphans": [orphan_document(orphan) for orphan in drift.orphans]})
            if drift.orphans and not dry_run:
                output.note("nothing was deleted: give --yes; queues with messages or consumers are left in any case")
                return ExitCode.ENDED_OTHERWISE
            return ExitCode.OK
        seen = await administration.observe(drift.plan)
        left = await administration.prune(drift.orphans, seen.bindings or ())
        kept = {id(entry.orphan) for entry in left}
        deleted = [orphan for orphan in drift.orphans if id(orphan) not in kept]
        output.say("\n".join(f"  - {_text(orphan)}" for orphan in deleted) or "nothing was deleted")
        for entry in left:
            output.say(f"  ! {_text(entry.orphan)} was left: {entry.reason}")
        output.document(
            {
                "deleted": [orphan_document(orphan) for orphan in deleted],
                "left": [{**orphan_document(entry.orphan), "reason": entry.reason} for entry in left],
            }
        )
        return ExitCode.FAILURE if left else ExitCode.OK


def _text(orphan: Orphan) -> str:
    item = orphan.item
    return f"queue {item.name}" if isinstance(item, Queue) else str(item)


def _say(drift: Drift, output: Output) -> None:
    if drift.is_empty:
        output.say("the broker is as it should be")
    else:
        output.say("\n".join(drift_lines(drift)))
        output.say(f"\n{summary(drift)}")
    for sentence in drift.unseen:
        output.note(f"not looked at: {sentence}")
