"""What is not imported: the price of a start is paid for what a process uses, and for nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

CLIENTS = ("aio_pika", "aioboto3", "aiobotocore", "asyncpg", "boto3", "botocore", "httpx", "jira", "kubernetes_asyncio")
COMMAND_LINE = ("rich", "typer")
STORES = ("alembic", "sqlalchemy")
TELEMETRY = ("opentelemetry.exporter", "opentelemetry.metrics", "opentelemetry.sdk", "prometheus_client")
PICTURES = ("PIL",)
SETTINGS = ("pydantic_settings",)


def imported(program: str) -> list[str]:
    """Return what is imported once a program has run."""
    shown = "\nimport sys\nprint('\\n'.join(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", program + shown], capture_output=True, text=True, check=True)
    return ended.stdout.splitlines()


def among(modules: list[str], *unwanted: str) -> list[str]:
    """Return what of the unwanted there is."""
    return [module for module in modules if any(f"{module}.".startswith(f"{name}.") for name in unwanted)]


@pytest.mark.parametrize("package", ["interlock.protocol", "interlock.bus", "interlock.agents"])
def test_a_library_s_user_imports_no_client_store_command_line_or_exporter(package: str) -> None:
    modules = imported(f"import {package}\nfor name in {package}.__all__: getattr({package}, name)")

    assert among(modules, *CLIENTS, *COMMAND_LINE, *STORES, *TELEMETRY, *PICTURES, *SETTINGS) == []


def test_the_protocol_imports_neither_bus_nor_event_loop() -> None:
    modules = imported(
        "import interlock.protocol\nfor name in interlock.protocol.__all__: getattr(interlock.protocol, name)"
    )

    assert among(modules, "interlock.bus", "interlock.agents", "anyio", "asyncio") == []


def test_no_validator_is_built_during_the_import() -> None:
    """Pydantic loads its plugins with the first validator, from the metadata of everything that is installed."""
    program = """
import pydantic.plugin._schema_validator as plugins
def refuse(*_, **__): raise AssertionError("built while importing")
plugins.create_schema_validator = refuse
import interlock.bus, interlock.protocol.catalogue
built = [m.__name__ for m in interlock.protocol.catalogue.CATALOGUE if m.__pydantic_complete__]
assert not built, built
"""

    assert "interlock.protocol.messages.change" in imported(program)


def test_the_command_line_s_help_imports_no_message() -> None:
    modules = imported("import interlock.agents.cli")

    assert among(modules, "pydantic", "anyio", "rich", *CLIENTS, *STORES, *TELEMETRY, *PICTURES, *SETTINGS) == []
    assert [module for module in modules if module.startswith("interlock.bus")] == []


def test_a_process_with_the_coordinator_imports_no_outside_system() -> None:
    modules = imported(
        """
import anyio
import interlock.agents.process
from interlock.agents.settings import Settings
from interlock.agents.team import build_agents

async def build():
    async with build_agents(Settings(broker_url="amqp://127.0.0.1/"), ["coordinator"]) as agents:
        assert [agent.name for agent in agents] == ["coordinator"]

anyio.run(build)
"""
    )

    assert among(modules, *CLIENTS, *COMMAND_LINE, *STORES, *TELEMETRY, *PICTURES) == []


def test_an_agent_s_store_is_opened_without_the_schema_s_tools() -> None:
    program = """
import tempfile, anyio
from pathlib import Path
from interlock.bus.clock import SystemClock
from interlock.bus.store.opening import open_store

async def main():
    with tempfile.TemporaryDirectory() as folder:
        store = await open_store(Path(folder) / "a.sqlite", agent="library-agent", clock=SystemClock())
        await store.aclose()

anyio.run(main)
"""

    assert among(imported(program), *STORES, "asyncpg") == []
