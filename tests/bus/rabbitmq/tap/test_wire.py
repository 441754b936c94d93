"""What the fast path writes is what aiormq writes for the same message."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import aio_pika
import anyio
import pytest
from aiormq.abc import DeliveredMessage

from bus.conftest import RabbitHarness
from bus.harness import DEADLINE, outgoing
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import RabbitTransport
from interlock.bus.rabbitmq.connection import Client
from interlock.bus.rabbitmq.topology import JOURNAL, MESSAGES

pytestmark = pytest.mark.rabbitmq

SENT = (
    outgoing(b""),
    outgoing(causation_id="cause"),
    outgoing(reply_to="reply.alpha-agent.0123"),
    outgoing(traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    outgoing('{"snow": "\u2603"}'.encode(), conversation_id="c\u00f6nversation", causation_id="c", reply_to="r"),
    outgoing(b"x" * 300_000),
)


def seen(message: DeliveredMessage) -> dict[str, Any]:
    """Return all that a receiver sees of a message, but for the attempt's own part of its id."""
    properties = dict(message.header.properties)
    identity = str(properties.pop("message_id")).partition("/")[0]
    where = {"body": message.body, "exchange": message.exchange, "routing_key": message.routing_key}
    return properties | where | {"message_id": identity}


async def test_both_clients_write_the_same(rabbit: RabbitHarness, rabbitmq: PrivateBroker) -> None:
    await rabbit.declare("beta-agent")
    arrived: asyncio.Queue[DeliveredMessage] = asyncio.Queue()
    written: dict[Client, list[dict[str, Any]]] = {"tap": [], "aiormq": []}
    ids: dict[Client, list[str | None]] = {"tap": [], "aiormq": []}
    async with await aio_pika.connect(rabbitmq.url()) as connection, connection.channel() as channel:
        queue = await channel.declare_queue(exclusive=True)
        raw = await channel.get_underlay_channel()
        for exchange in (MESSAGES, JOURNAL):
            await queue.bind(exchange, "beta-agent.ping")
        await raw.basic_consume(queue.name, arrived.put, no_ack=True)
        for client, found in written.items():
            alpha = await RabbitTransport.connect(rabbitmq.url("alpha-agent"), identity="alpha-agent", client=client)
            rabbit.opened(alpha)
            with anyio.fail_after(DEADLINE):
                for message in SENT:
                    await alpha.publish(message)
                    both = [await arrived.get() for _ in (MESSAGES, JOURNAL)]
                    found += map(seen, sorted(both, key=lambda each: each.exchange or ""))
                    ids[client] += [each.header.properties.message_id for each in both]
    assert written["tap"] == written["aiormq"]
    assert len(written["tap"]) == 2 * len(SENT)
    assert set(Counter(ids["tap"]).values()) == {2}, "a message and its copy are one attempt"
    assert set(Counter(ids["aiormq"]).values()) == {1}, "aiormq matches returns by the id"
