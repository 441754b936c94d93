"""The same ticket over the memory bus and over RabbitMQ: every agent says the same things."""

from __future__ import annotations

import re

import pytest

from end_to_end.demonstration import Demonstration, demonstrate
from end_to_end.exchanges import Recording, exchanges
from interlock.agents.telemetry.trace_file import read_trace
from interlock.bus.private_broker import find_server
from interlock.protocol.recording import read
from interlock.protocol.roles import CONSOLE, TEAM

pytestmark = [pytest.mark.slow, pytest.mark.rabbitmq]


def recorded(ended: Demonstration) -> Recording:
    assert ended.ran.returncode == 0, ended.ran.stderr.decode()
    return read((ended.report / "conversation.jsonl").read_bytes())


@pytest.fixture(scope="module")
async def over_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Demonstration:
    if find_server() is None:
        pytest.fail("no rabbitmq-server: `make test` installs it")
    return await demonstrate(tmp_path_factory.mktemp("rabbitmq"), "--trace", "trace.jsonl", broker="private")


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


async def test_one_trace_runs_through_all_processes(over_rabbitmq: Demonstration) -> None:
    record = recorded(over_rabbitmq)
    spans = read_trace(over_rabbitmq.report.parent / "trace.jsonl")

    known = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_id is None]
    assert {span.trace_id for span in spans} == {record[0].conversation_id.replace("-", "")}
    assert len(known) == len(spans)
    assert [(span.service, span.name) for span in roots] == [(CONSOLE, "change PROJ-140")]
    assert [span.name for span in spans if span.parent_id is not None and span.parent_id not in known] == []
    assert {span.service for span in spans} == {CONSOLE, *TEAM}


async def test_every_message_is_sent_received_and_processed_in_the_trace(over_rabbitmq: Demonstration) -> None:
    record = recorded(over_rabbitmq)
    spans = read_trace(over_rabbitmq.report.parent / "trace.jsonl")
    hops = {(span.attributes.get("messaging.message.id"), span.operation): span for span in spans}

    for envelope in record:
        assert envelope.traceparent is not None
        send = hops[envelope.id, "send"]
        assert envelope.traceparent.startswith(f"00-{send.trace_id}-{send.span_id}-")
        assert send.service == envelope.sender
        for operation in ("receive", "process"):
            taken = hops[envelope.id, operation]
            assert taken.service == envelope.receiver
            assert taken.parent_id == send.span_id
