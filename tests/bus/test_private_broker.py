"""A RabbitMQ of one's own: its start, its end and what it leaves."""

from __future__ import annotations

import os
from pathlib import Path

import anyio
import pytest

from interlock.bus.errors import BrokerUnavailableError
from interlock.bus.private_broker import PrivateBroker, find_server
from interlock.bus.private_node import PrivateNode
from interlock.bus.rabbitmq import definitions
from interlock.protocol.errors import UsageError

DEFINITIONS = definitions({"alpha-agent": set()})


@pytest.mark.rabbitmq
async def test_it_starts_answers_and_ends_without_leaving_a_process(tmp_path: Path) -> None:
    async with PrivateBroker(tmp_path, definitions=DEFINITIONS) as broker:
        assert broker.is_running
        assert broker.version[0].isdigit()
        comm = await anyio.Path(f"/proc/{broker.pid}/comm").read_text()
        assert comm.strip() == "beam.smp"
        pid = broker.pid
    assert not broker.is_running
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_its_configuration_takes_further_settings(tmp_path: Path) -> None:
    node = PrivateNode(tmp_path, settings={"frame_max": 8192, "heartbeat": 2})
    node.write_files(DEFINITIONS.to_json(), control=Path("/bin/true"))
    lines = (tmp_path / "rabbitmq.conf").read_text().splitlines()
    assert lines[-2:] == ["frame_max = 8192", "heartbeat = 2"]


def test_without_certificates_it_has_no_encrypted_address(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="tls="):
        PrivateBroker(tmp_path, definitions=DEFINITIONS).tls_url()


@pytest.mark.rabbitmq
def test_the_server_that_is_found_can_be_run() -> None:
    server = find_server()
    assert server is not None
    assert os.access(server, os.X_OK)


async def test_a_server_that_ends_at_once_is_reported_with_its_console(tmp_path: Path) -> None:
    broker = PrivateBroker(tmp_path, definitions=DEFINITIONS, server=Path("/bin/false"))
    with pytest.raises(BrokerUnavailableError, match="ended with 1") as failed:
        await broker.start()
    assert str(tmp_path) in str(failed.value)


async def test_a_server_that_stays_silent_is_given_up_and_ended(tmp_path: Path) -> None:
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 600\n")
    silent.chmod(0o755)
    broker = PrivateBroker(tmp_path, definitions=DEFINITIONS, server=silent)
    with pytest.raises(BrokerUnavailableError, match=r"not ready after 0\.3 s"):
        await broker.start(timeout=0.3)
    assert not broker.is_running


async def test_stopping_what_was_not_started_does_nothing(tmp_path: Path) -> None:
    broker = PrivateBroker(tmp_path, definitions=DEFINITIONS)
    await broker.stop()
    await broker.kill()
    with pytest.raises(UsageError, match="not started"):
        _ = broker.pid


def test_it_shows_no_password(tmp_path: Path) -> None:
    broker = PrivateBroker(tmp_path, definitions=DEFINITIONS)
    assert DEFINITIONS.passwords["alpha-agent"] in broker.url("alpha-agent")
    assert DEFINITIONS.passwords["alpha-agent"] not in repr(broker)


def test_a_user_that_it_does_not_know_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ghost-agent"):
        PrivateBroker(tmp_path, definitions=DEFINITIONS).url("ghost-agent")
