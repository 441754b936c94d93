"""`interlock broker up`: a private RabbitMQ for trying out one's own agent; it needs no extra, and runs no agent."""

from __future__ import annotations

__all__ = ["app"]

import re
import signal
import socket
import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import anyio
import typer

from interlock.agents.cli.options import JsonOption, application
from interlock.agents.cli.output import Output, reporting
from interlock.agents.cli.private_file import write_private
from interlock.agents.cli.toml import render_toml
from interlock.agents.permissions import allowed_rows
from interlock.bus.clock import Clock, SystemClock
from interlock.bus.errors import BrokerUnavailableError
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import ADMIN, VHOST, Definitions, RabbitTransport, definitions
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.errors import UsageError
from interlock.protocol.roles import ALL_ROLES, CONSOLE

app = application(no_args_is_help=True)

_MARK = "# Written by `interlock broker up`, which removes it when it ends. It holds passwords.\n"
_WATCH = 0.5
"""Seconds between looks at whether the broker lives."""


@app.callback()
def broker() -> None:
    """A broker of one's own, for trying things out."""


@app.command()
def up(
    write: Annotated[
        Path, typer.Option(metavar="FILE", help="Write the settings there (mode 0600); removed again at the end.")
    ] = Path("interlock.toml"),
    directory: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where log and data are kept; default: a temporary folder.")
    ] = None,
    management: Annotated[
        bool,
        typer.Option("--management", help="With the management API and the administrator's login, for `topology`."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Start a private RabbitMQ on 127.0.0.1, and run until interrupted.

    Every role of the catalogue has a user that may send what the catalogue lets it send, and a queue. Agents and
    commands that are started in the settings file's folder find the broker by themselves.
    """
    with reporting(as_json=as_json) as output, tempfile.TemporaryDirectory(prefix="interlock-broker-") as scratch:
        _refuse_taken(write)
        folder = (directory or Path(scratch)).resolve()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"the folder {folder} cannot be made: {error.strerror}") from error
        anyio.run(_up, folder, write.resolve(), management, SystemClock(), output)


async def _up(folder: Path, write: Path, management: bool, clock: Clock, output: Output) -> None:
    catalogue = installed_catalogue()
    names = sorted({*ALL_ROLES, *catalogue.agents()})
    users = definitions(allowed_rows(names, catalogue=catalogue), observers=(CONSOLE,))
    output.note("starting RabbitMQ, which takes some seconds")
    async with PrivateBroker(folder, definitions=users, management=management) as broker:
        version = await _prepare(broker, names)
        with _written(write, _settings(broker, users, management=management)):
            output.say(
                f"{version} is ready on 127.0.0.1:{broker.port}; its settings are in {write}.\n"
                f"In other terminals, in {write.parent}:\n"
                "  interlock tail         watch every message\n"
                "  python peer.py         run your agent\n"
                "  interlock send FILE    send a message\n"
                "Ctrl-C ends the broker and removes its settings."
            )
            output.document(
                {"broker": {"version": version, "port": broker.port, "pid": broker.pid}, "settings": str(write)}
            )
            await _until_interrupted(broker, clock)


async def _prepare(broker: PrivateBroker, names: Sequence[str]) -> str:
    """Declare a queue for every one of these, and return the broker's version."""
    transport = await RabbitTransport.connect(broker.url(), identity=ADMIN, journal=False)
    try:
        await transport.declare(Topology(agents=tuple(AgentQueue(name) for name in names)))
        return await transport.broker_version()
    finally:
        with anyio.CancelScope(shield=True):
            await transport.aclose()


def _settings(broker: PrivateBroker, users: Definitions, *, management: bool) -> str:
    """Return the settings of every role's agents; the administrator stays out of them, unless it was asked for."""
    passwords = {name: password for name, password in users.passwords.items() if name != ADMIN}
    login = {"management_url": broker.management_url()} if management else {}
    url = f"amqp://127.0.0.1:{broker.port}/{VHOST}"
    return _MARK + render_toml({"broker_url": url, "broker": {**login, "passwords": passwords}})


def _refuse_taken(file: Path) -> None:
    """Raise UsageError when the file is there, unless this command left it behind when it was killed."""
    if not file.exists():
        return
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text.startswith(_MARK):
        raise UsageError(f"{file} was not written by this command and is left alone: name another with --write")
    if _answers(text):
        raise UsageError(f"{file} leads to a broker that is running: use that one, or name another file with --write")


def _answers(settings: str) -> bool:
    """Return whether something listens where these settings say that the broker is."""
    found = re.search(r"127\.0\.0\.1:(\d+)/", settings)
    if found is None:
        return False
    try:
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=1.0):
            return True
    except (OSError, OverflowError):  # the latter for a number that is no port
        return False


@contextmanager
def _written(file: Path, text: str) -> Generator[None]:
    """Have this text in the file, readable for its owner only; at the end remove it, unless it was changed."""
    write_private(file, text)
    try:
        yield
    finally:
        if file.is_file() and file.read_text(encoding="utf-8") == text:
            file.unlink()


async def _until_interrupted(broker: PrivateBroker, clock: Clock) -> None:
    """Return at SIGINT or SIGTERM. Raises BrokerUnavailableError when the broker ends before that."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch, broker, clock)
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            await anext(aiter(signals))
        tasks.cancel_scope.cancel()


async def _watch(broker: PrivateBroker, clock: Clock) -> None:
    while broker.is_running:
        await clock.sleep(_WATCH)
    raise BrokerUnavailableError(f"{broker!r} has ended; start it again, with --directory to keep its log")
