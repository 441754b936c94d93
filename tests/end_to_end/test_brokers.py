"""The same ticket over the memory bus and over RabbitMQ: every agent says the same things."""

from __future__ import annotations

import re

import pytest

from end_to_end.demonstration import Demonstration, demonstrate
from end_to_end.exchanges import Recording, exchanges
from interlock.bus.private_broker import find_server
from interlock.protocol.recording import read
from interlock.protocol.roles import TEAM

pytestmark = [pytest.mark.slow, pytest.mark.rabbitmq]


def recorded(ended: Demonstration) -> Recording:
    assert ended.ran.returncode == 0, ended.ran.stderr.decode()
    return read((ended.report / "conversation.jsonl").read_bytes())


@pytest.fixture(scope="module")
async def over_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    if find_server() is None:
        pytest.fail("no rabbitmq-server: `make test` installs it")
    return await demonstrate(tmp_path_factory.mktemp("rabbitmq"), broker="private")


async def test_over_rabbitmq_every_agent_is_a_process_of_its_own(over_rabbitmq: Demonstration) -> None:
    document = over_rabbitmq.document

    assert set(document["processes"]) >= set(TEAM)
    assert len({document["processes"][name] for name in TEAM}) == len(TEAM)
    assert document["broker"]["kind"] == "private"
    assert re.search(r"\d+\.\d+", document["broker"]["version"])


async def test_memory_and_rabbitmq_carry_the_same_messages(
    over_memory: Demonstration, over_rabbitmq: Demonstration
) -> None:
    assert exchanges(recorded(over_memory)) == exchanges(recorded(over_rabbitmq))
