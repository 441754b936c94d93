"""`interlock broker up`: what it writes, what it leaves alone, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tomllib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio.abc import Process
from anyio.streams.text import TextReceiveStream

from agents.cli.running import COMMAND, environment, interlock, run_process
from interlock.agents.settings import Settings
from interlock.bus.connect import open_transport
from interlock.protocol.roles import ALL_ROLES


@asynccontextmanager
async def broker(folder: Path) -> AsyncGenerator[tuple[Process, dict[str, object]]]:
    """Start the command in this folder; go on when it is ready, with its JSON document."""
    process = await anyio.open_process(
        [*COMMAND, "broker", "up", "--json"], cwd=folder, env=environment(), stderr=subprocess.DEVNULL
    )
    async with process:
        assert process.stdout is not None
        text = ""
        with anyio.fail_after(60):
            async for part in TextReceiveStream(process.stdout):
                text += part
                if text.endswith("}\n"):
                    break
        try:
            yield process, json.loads(text)
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


@pytest.mark.rabbitmq
async def test_every_role_can_log_in_with_the_settings_until_it_is_interrupted(tmp_path: Path) -> None:
    file = tmp_path / "interlock.toml"
    async with broker(tmp_path) as (process, document):
        second = await run_process("broker", "up", cwd=tmp_path)
        mode, text = file.stat().st_mode & 0o777, file.read_text()
        settings = Settings.load({"config": file})
        for role in ALL_ROLES:
            transport = await open_transport(settings.broker_urls(role), identity=role)
            async with transport.consume():
                assert (await transport.broker_version()).startswith("RabbitMQ ")
            await transport.aclose()
        process.send_signal(signal.SIGINT)
        with anyio.fail_after(30):
            assert await process.wait() == 0

    assert second.returncode == 2
    assert b"leads to a broker that is running" in second.stderr
    assert mode == 0o600
    assert set(tomllib.loads(text)["broker"]["passwords"]) == set(ALL_ROLES)
    assert document["settings"] == str(file)
    assert not await anyio.Path(file).exists()


@pytest.mark.rabbitmq
async def test_a_broker_that_dies_ends_the_command_and_settings_that_were_changed_stay(tmp_path: Path) -> None:
    file = tmp_path / "interlock.toml"
    async with broker(tmp_path) as (process, document):
        with file.open("a") as settings:
            settings.write('[aws]\nregion = "eu-central-1"\n')
        entry = document["broker"]
        assert isinstance(entry, dict)
        os.kill(entry["pid"], signal.SIGKILL)
        with anyio.fail_after(30):
            assert await process.wait() == 1

    assert "eu-central-1" in file.read_text()


@pytest.mark.parametrize("content", [b'broker_url = "amqp://host/interlock"\n', b"\xff\xfe", b""])
def test_settings_of_somebody_else_are_not_overwritten(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "interlock.toml"
    file.write_bytes(content)

    refused = interlock("broker", "up", "--write", file)

    assert refused.exit_code == 2
    assert "was not written by this command" in refused.stderr
    assert file.read_bytes() == content
