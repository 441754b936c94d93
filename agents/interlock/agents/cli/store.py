"""`interlock store`: makes, checks and moves the stores of agents."""

from __future__ import annotations

__all__ = ["app"]

from typing import Annotated

import typer

from interlock.agents.cli.options import JsonOption, application, settings_of
from interlock.agents.cli.output import ExitCode, reporting
from interlock.bus.clock import SystemClock
from interlock.bus.store import upkeep
from interlock.bus.store.moments import to_micros
from interlock.protocol.roles import TEAM

app = application(no_args_is_help=True)

AgentsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="AGENT", help="Whose stores; default: the whole team's.")
]


@app.command()
def migrate(
    context: typer.Context,
    agents: AgentsArgument = None,
    sql: Annotated[bool, typer.Option("--sql", help="Show the statements, and run none.")] = False,
) -> None:
    """Bring stores to the schema of this release, and make those that are missing.

    SQLite files do so by themselves when their agent starts. Two migrations at once do no harm.
    """
    with reporting(as_json=False) as output:
        settings = settings_of(context)
        for agent in agents or TEAM:
            address = settings.store_address(agent)
            if sql:
                output.say("".join(f"{statement};\n" for statement in upkeep.pending_statements(address, agent=agent)))
                continue
            steps = upkeep.migrate(address, agent=agent, now=to_micros(SystemClock().now()))
            done = ", ".join(f"{step.number} {step.name}" for step in steps)
            output.say(f"{agent}: {f'migrated: {done}' if done else 'nothing to do'}")


@app.command()
def check(context: typer.Context, agents: AgentsArgument = None, as_json: JsonOption = False) -> None:
    """Compare stores with the schema of this release, and verify what they hold. Exits with 1 when something is wrong.

    Looks at the version, at every table, index, view and trigger, at the database's own integrity check, and at the
    hash chain of the audit trail.
    """
    with reporting(as_json=as_json) as output:
        settings = settings_of(context)
        found = {agent: upkeep.check(settings.store_address(agent), agent=agent) for agent in agents or TEAM}
        for agent, condition in found.items():
            output.say(f"{agent}: schema {condition.schema}, {len(condition.problems) or 'no'} problems")
            for problem in condition.problems:
                output.say(f"  {problem}")
        output.document(
            [
                {
                    "agent": agent,
                    "schema": condition.schema,
                    "release": condition.release,
                    "problems": list(condition.problems),
                }
                for agent, condition in found.items()
            ]
        )
        if any(condition.problems for condition in found.values()):
            raise typer.Exit(ExitCode.FAILURE)


@app.command()
def copy(
    context: typer.Context,
    agents: AgentsArgument = None,
    to: Annotated[
        str | None, typer.Option(metavar="URL", help="Default: store_url of the settings.", show_default=False)
    ] = None,
) -> None:
    """Copy stores from the SQLite files in state_dir to empty schemas in PostgreSQL, as one transaction each.

    The agents must be stopped, and are not started over the files again afterwards.
    """
    with reporting(as_json=False) as output:
        settings = settings_of(context)
        for agent in agents or TEAM:
            file, address = settings.store_path(agent), to or settings.store_address(agent)
            rows = upkeep.copy(file, address, agent=agent, now=to_micros(SystemClock().now()))
            output.say(f"{agent}: {rows} rows copied from {file}")
