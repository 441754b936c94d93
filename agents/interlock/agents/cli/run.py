"""`interlock run`: agents of the team as this process, or the whole team as supervised processes."""

from __future__ import annotations

__all__ = ["app"]

import os
import signal
from pathlib import Path
from typing import Annotated

import anyio
import typer

from interlock.agents.cli.options import application, settings_of
from interlock.agents.cli.output import reporting
from interlock.agents.process import serve
from interlock.agents.settings import Settings
from interlock.agents.team import build_agents
from interlock.agents.telemetry.logs import configure
from interlock.protocol.errors import UsageError
from interlock.protocol.roles import TEAM

app = application()


@app.command()
def run(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="AGENT", help="Which; several share one process.")
    ] = None,
    everyone: Annotated[bool, typer.Option("--all", help="The whole team, one supervised process per agent.")] = False,
) -> None:
    """Run agents until SIGTERM or Ctrl-C, which let running work finish first."""
    with reporting(as_json=False):
        if bool(names) == everyone:
            raise UsageError(f"name agents, or give --all; the team is {', '.join(TEAM)}")
        settings = settings_of(context)
        configure(settings.logging)
        if everyone:
            anyio.run(_supervise, settings.state_dir.resolve(), context.find_root().obj)
        else:
            anyio.run(_serve, settings, tuple(names or ()))


async def _serve(settings: Settings, names: tuple[str, ...]) -> None:
    async with build_agents(settings, names) as agents:
        await serve(agents, settings)


async def _supervise(folder: Path, config: Path | None) -> None:
    from interlock.agents.demo.cast import Cast  # a child process needs no supervisor

    await anyio.Path(folder).mkdir(parents=True, exist_ok=True)
    async with Cast(TEAM, config=config, directory=folder, environment=os.environ, brokers={}):
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                break
