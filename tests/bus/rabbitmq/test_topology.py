"""The plan of what a broker will hold."""

from __future__ import annotations

from interlock.bus.rabbitmq.topology import JOURNAL, MESSAGES, plan
from interlock.bus.transport import AgentQueue, Topology

TOPOLOGY = Topology((AgentQueue("beta-agent", announcements=frozenset({"pong"})),), journal_max_age=3600.0)


def test_only_addressed_queues_are_bound_to_the_message_exchange() -> None:
    patterns = {binding.pattern for binding in plan(TOPOLOGY).bindings if binding.exchange == MESSAGES}
    assert patterns == {"beta-agent.#", "all.pong"}


def test_the_journal_is_a_stream_that_keeps_everything_for_its_age() -> None:
    journal = next(queue for queue in plan(TOPOLOGY).queues if queue.name == JOURNAL)
    assert journal.arguments["x-queue-type"] == "stream"
    assert journal.arguments["x-max-age"] == "3600s"


def test_a_parking_queue_is_declared_before_the_queue_that_needs_it() -> None:
    names = [queue.name for queue in plan(TOPOLOGY).queues]
    assert names.index("beta-agent.parked") < names.index("beta-agent")


def test_a_parked_message_survives_being_looked_at_on_rabbitmq_4() -> None:
    parking = next(queue for queue in plan(TOPOLOGY, version=(4, 1)).queues if queue.name.endswith(".parked"))
    assert parking.arguments["x-delivery-limit"] == -1


def test_a_plan_reads_as_one_line_per_thing() -> None:
    text = str(plan(TOPOLOGY))
    assert "exchange interlock.messages (topic, durable)" in text
    assert "bind interlock.messages -> beta-agent (beta-agent.#)" in text
    assert "x-single-active-consumer=True" in text
    assert len(text.splitlines()) == 3 + 3 + 4
