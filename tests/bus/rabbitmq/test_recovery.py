"""What survives broken connections, deleted queues, cancelled consumers, frozen and killed brokers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import aio_pika
import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal

from bus.conftest import RabbitHarness
from bus.harness import ALLOWED, DEADLINE, nothing_arrives, outgoing, take
from bus.tcp_proxy import TcpProxy
from interlock.bus.errors import UnconfirmedError
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.rabbitmq import ADMIN, RabbitTransport, definitions
from interlock.bus.rabbitmq.topology import JOURNAL
from interlock.bus.transport import AgentQueue, Topology, TransportStatus
from interlock.protocol.errors import InterlockError

pytestmark = pytest.mark.rabbitmq


async def test_a_consumer_comes_back_after_a_broken_connection(rabbit: RabbitHarness, rabbitmq: PrivateBroker) -> None:
    await rabbit.declare("beta-agent")
    alpha = await rabbit.connect("alpha-agent")
    async with TcpProxy.to(rabbitmq.port) as proxy:
        url = rabbitmq.url("beta-agent").replace(str(rabbitmq.port), str(proxy.port))
        beta = await RabbitTransport.connect(url, identity="beta-agent", watch=0.2)
        async with beta.consume() as deliveries:
            await alpha.publish(outgoing(b"held"))
            [held] = await take(deliveries, ack=False)
            proxy.reset()
            [again] = await take(deliveries)
            assert (again.body, again.attempt) == (b"held", 2)
            assert beta.status == TransportStatus(connected=True, consuming=True, reconnects=1)
            await held.ack()
            await alpha.publish(outgoing(b"later"))
            assert (await take(deliveries))[0].body == b"later"
            assert proxy.accepted == 2
        await beta.aclose()


async def test_an_observer_and_a_reply_address_come_back_after_a_broken_connection(
    rabbit: RabbitHarness, rabbitmq: PrivateBroker
) -> None:
    await rabbit.declare("beta-agent")
    beta = await rabbit.connect("beta-agent")
    async with TcpProxy.to(rabbitmq.port) as proxy:
        url = rabbitmq.url("alpha-agent").replace(str(rabbitmq.port), str(proxy.port))
        alpha = await RabbitTransport.connect(url, identity="alpha-agent", watch=0.2)
        async with alpha.replies() as (address, answers), alpha.observe("#") as copies:
            proxy.reset()
            await nothing_arrives(answers)
            await nothing_arrives(copies)
            await beta.publish(outgoing(b"answer", sender="beta-agent", receiver=address, type="pong"))
            assert (await take(answers, ack=False))[0].body == b"answer"
            assert (await take(copies, ack=False))[0].body == b"answer"
        await alpha.aclose()


async def test_publishes_in_flight_outlive_a_broken_connection(rabbit: RabbitHarness, rabbitmq: PrivateBroker) -> None:
    await rabbit.declare("beta-agent")
    async with TcpProxy.to(rabbitmq.port) as proxy:
        url = rabbitmq.url("alpha-agent").replace(str(rabbitmq.port), str(proxy.port))
        alpha = await RabbitTransport.connect(url, identity="alpha-agent")
        await alpha.publish(outgoing(b"0"))
        async with anyio.create_task_group() as group:
            for number in range(1, 100):
                group.start_soon(alpha.publish, outgoing(b"%d" % number))
            await anyio.lowlevel.checkpoint()
            proxy.reset()
        await alpha.aclose()
    received: set[int] = set()
    async with (await rabbit.connect("beta-agent")).consume() as deliveries:
        while received != set(range(100)):
            received |= {int(delivery.body) for delivery in await take(deliveries)}


async def test_a_publish_into_silence_is_unconfirmed_within_its_timeout(
    rabbit: RabbitHarness, rabbitmq: PrivateBroker
) -> None:
    await rabbit.declare("beta-agent")
    async with TcpProxy.to(rabbitmq.port) as proxy:
        url = rabbitmq.url("alpha-agent").replace(str(rabbitmq.port), str(proxy.port))
        alpha = await RabbitTransport.connect(url, identity="alpha-agent")
        await alpha.publish(outgoing())
        proxy.silence()
        message, started = outgoing(), time.monotonic()
        with pytest.raises(UnconfirmedError, match=message.message_id):
            await alpha.publish(message, timeout=0.3)
        assert time.monotonic() - started < 1.0
        proxy.restore()
        await alpha.publish(outgoing())
        await alpha.aclose()


async def test_a_consumer_comes_back_when_its_queue_was_deleted_and_declared_again(
    rabbit: RabbitHarness, rabbitmq: PrivateBroker
) -> None:
    await rabbit.declare("beta-agent")
    alpha, beta = await rabbit.connect("alpha-agent"), await rabbit.connect("beta-agent")
    async with beta.consume() as deliveries:
        async with await aio_pika.connect(rabbitmq.url()) as connection, connection.channel() as channel:
            await channel.queue_delete("beta-agent")
        await nothing_arrives(deliveries, within=0.7)
        await rabbit.declare("beta-agent")
        await alpha.publish(outgoing(b"back"))
        assert (await take(deliveries))[0].body == b"back"


async def test_every_message_is_copied_to_the_journal(rabbit: RabbitHarness, rabbitmq: PrivateBroker) -> None:
    await rabbit.declare("beta-agent")
    message = outgoing(b"journalled")
    async with await aio_pika.connect(rabbitmq.url()) as connection, connection.channel() as channel:
        await channel.set_qos(prefetch_count=100)
        stream = await channel.declare_queue(JOURNAL, passive=True)
        copies: asyncio.Queue[aio_pika.abc.AbstractIncomingMessage] = asyncio.Queue()
        await stream.consume(copies.put, arguments={"x-stream-offset": "next"})
        await (await rabbit.connect("alpha-agent")).publish(message)
        with anyio.fail_after(DEADLINE):
            copy = await copies.get()
        await copy.ack()
    assert (copy.body, copy.routing_key, copy.user_id) == (b"journalled", "beta-agent.ping", "alpha-agent")
    assert copy.message_id is not None
    assert copy.message_id.startswith(message.message_id)
    assert copy.headers["interlock-conversation-id"] == message.conversation_id


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[PrivateBroker, BlockingPortal]]:
    """A broker to be killed, apart from the session's."""
    broker = PrivateBroker(tmp_path_factory.mktemp("fragile"), definitions=definitions(ALLOWED))
    with start_blocking_portal("asyncio") as portal, portal.wrap_async_context_manager(broker):
        yield broker, portal


@pytest.mark.slow
async def test_no_confirmed_message_is_lost_when_the_broker_is_killed_starved_or_frozen(
    fragile: tuple[PrivateBroker, BlockingPortal],
) -> None:
    broker, portal = fragile
    admin = await RabbitTransport.connect(broker.url(), identity=ADMIN)
    await admin.declare(Topology((AgentQueue("beta-agent"),)))
    await admin.aclose()
    # RabbitMQ 3.10 lost confirmed messages of queues that were killed within a second of their declaration.
    await anyio.sleep(2.0)
    alpha = await RabbitTransport.connect(broker.url("alpha-agent"), identity="alpha-agent")
    beta = await RabbitTransport.connect(broker.url("beta-agent"), identity="beta-agent", watch=0.5)
    confirmed: set[bytes] = set()
    received: set[bytes] = set()
    stopping = anyio.Event()

    async def publish(publisher: int) -> None:
        number = 0
        while not stopping.is_set():
            body = b"%d.%d" % (publisher, number)
            number += 1
            try:
                await alpha.publish(outgoing(body), timeout=15.0)
            except InterlockError:
                continue
            confirmed.add(body)

    async def enough(count: int) -> None:
        while len(confirmed) < count:  # noqa: ASYNC110 - publishers that ran into a kill signal nothing
            await anyio.sleep(0.02)

    async with beta.consume() as deliveries:
        with anyio.fail_after(60):
            async with anyio.create_task_group() as group:
                for publisher in range(8):
                    group.start_soon(publish, publisher)
                await enough(500)
                await anyio.to_thread.run_sync(lambda: portal.call(broker.kill))
                before = len(confirmed)
                await anyio.to_thread.run_sync(lambda: portal.call(broker.start))
                await enough(before + 500)
                stopping.set()
        with anyio.fail_after(30):
            while not confirmed <= received:
                received |= {delivery.body for delivery in await take(deliveries)}

    async def control(*arguments: str) -> None:
        await anyio.to_thread.run_sync(lambda: portal.call(lambda: broker.control(*arguments)))

    async with beta.consume() as deliveries:
        await alpha.publish(outgoing(b"before the alarm"))
        while (await take(deliveries))[0].body != b"before the alarm":
            continue
        await alpha.publish(outgoing(b"during the alarm"))
        await control("set_vm_memory_high_watermark", "0")
        with pytest.raises(UnconfirmedError):
            await alpha.publish(outgoing(b"blocked"), timeout=0.5)
        await take(deliveries)  # consumers flow while publishers are held back
        await control("set_vm_memory_high_watermark", "0.4")
        await alpha.publish(outgoing(b"after the alarm"))

    broker.freeze()
    started = time.monotonic()
    with pytest.raises(UnconfirmedError):
        await alpha.publish(outgoing(b"frozen"), timeout=0.5)
    assert time.monotonic() - started < 2.0
    broker.thaw()
    await alpha.publish(outgoing(b"thawed"))
    await alpha.aclose()
    await beta.aclose()
