"""Looking at a real broker, comparing, adding and pruning: with the management API, and over AMQP alone."""

from __future__ import annotations

import aio_pika
import anyio
import pytest

from bus.harness import eventually, outgoing, take
from bus.rabbitmq.administering import Managed
from interlock.bus.clock import SystemClock
from interlock.bus.errors import BrokerUnavailableError, LoginRefusedError, NotPermittedError, UnconfirmedError
from interlock.bus.private_process import free_port
from interlock.bus.rabbitmq import VHOST, RabbitTransport
from interlock.bus.rabbitmq.administration import Administration, vhost_of
from interlock.bus.rabbitmq.drift import Change, Drift
from interlock.bus.rabbitmq.inequivalence import Difference
from interlock.bus.rabbitmq.management import Management
from interlock.bus.rabbitmq.topology import JOURNAL, MESSAGES, PARKED, Binding, Exchange, Queue
from interlock.bus.transport import AgentQueue, Topology
from interlock.protocol.errors import UsageError

pytestmark = pytest.mark.rabbitmq

TOPOLOGY = Topology((AgentQueue("alpha-agent"), AgentQueue("beta-agent")))


async def declared(managed: Managed) -> None:
    await managed.administration.add(await managed.administration.drift(TOPOLOGY))


def differences(drift: Drift) -> dict[str, tuple[Difference, ...]]:
    return {change.name: change.differences for change in drift.changes}


async def test_an_empty_broker_misses_everything_in_the_order_of_declaration(managed: Managed) -> None:
    for administration in (managed.administration, managed.blind):
        drift = await administration.drift(TOPOLOGY)
        assert drift.missing == (*drift.plan.exchanges, *drift.plan.queues, *drift.plan.bindings)
        assert (drift.changes, drift.orphans) == ((), ())


@pytest.mark.parametrize("seeing", [True, False])
async def test_what_was_added_is_as_planned_and_adding_again_changes_nothing(managed: Managed, seeing: bool) -> None:
    administration = managed.administration if seeing else managed.blind
    for _ in range(2):
        await administration.add(await administration.drift(TOPOLOGY))

    assert (await managed.administration.drift(TOPOLOGY)).is_empty
    assert (await managed.blind.drift(TOPOLOGY)).is_empty
    beta = await RabbitTransport.connect(managed.broker.url("beta-agent"), identity="beta-agent")
    alpha = await RabbitTransport.connect(managed.broker.url("alpha-agent"), identity="alpha-agent")
    async with beta.consume() as deliveries:
        await alpha.publish(outgoing())
        await take(deliveries)
    await alpha.aclose()
    await beta.aclose()


@pytest.mark.parametrize("seeing", [True, False])
async def test_every_argument_that_differs_is_found(managed: Managed, seeing: bool) -> None:
    await declared(managed)
    await managed.channel.queue_delete("beta-agent")
    await managed.queue(
        "beta-agent",
        {"x-max-length": 7, "x-message-ttl": 60_000, "x-single-active-consumer": True, "x-overflow": "drop-head"},
    )
    drift = await (managed.administration if seeing else managed.blind).drift(TOPOLOGY)

    found = set(differences(drift)["beta-agent"])
    # Over AMQP a queue without reject-publish hides what only counts together with it.
    assert found >= {
        Difference("x-max-length", 7, 1_000_000),
        Difference("x-message-ttl", 60_000, None),
        Difference("x-overflow", "drop-head", "reject-publish"),
        Difference("x-dead-letter-exchange", None, PARKED),
    }
    assert differences(drift).keys() == {"beta-agent"}
    assert drift.changes[0].is_movable


async def test_an_exchange_of_another_type_is_found_and_left_alone(managed: Managed) -> None:
    await managed.channel.declare_exchange(PARKED, "direct", durable=True)
    for administration in (managed.administration, managed.blind):
        (change,) = (await administration.drift(TOPOLOGY)).changes
        assert change == Change(Exchange(PARKED), (Difference("type", "direct", "topic"),))
        assert not change.is_movable

    await managed.administration.add(await managed.administration.drift(TOPOLOGY))

    left = await managed.administration.drift(TOPOLOGY)
    assert {item.exchange for item in left.missing if isinstance(item, Binding)} == {PARKED}
    assert len(left.missing) == 2


async def test_a_stream_cannot_be_moved(managed: Managed) -> None:
    await declared(managed)
    drift = await managed.administration.drift(Topology(TOPOLOGY.agents, journal_max_age=60.0))

    assert differences(drift) == {JOURNAL: (Difference("x-max-age", "604800s", "60s"),)}
    assert not drift.changes[0].is_movable


async def test_without_configure_rights_arguments_are_not_compared_and_that_is_said(managed: Managed) -> None:
    await declared(managed)
    urls = [managed.broker.url("alpha-agent")]
    async with Administration.open(urls, management=None, clock=SystemClock()) as as_agent:
        drift = await as_agent.drift(Topology((AgentQueue("beta-agent", max_length=5), AgentQueue("gone-agent"))))
        with pytest.raises(NotPermittedError, match="log in as the topology's own user"):
            await as_agent.add(drift)

    assert {item.name for item in drift.missing if isinstance(item, Queue)} == {"gone-agent", "gone-agent.parked"}
    assert [sentence.partition(" were")[0] for sentence in drift.unseen] == ["orphans and bindings", "arguments"]


async def orphaned(managed: Managed) -> None:
    await declared(managed)
    await managed.queue("old-agent", {"x-dead-letter-exchange": PARKED})
    await (await managed.channel.get_queue("old-agent")).bind(MESSAGES, "old-agent.#")
    await (await managed.channel.get_queue("beta-agent")).bind(MESSAGES, "#")
    await (await managed.channel.get_queue("beta-agent")).bind(MESSAGES, "all.pong")
    await managed.channel.declare_exchange("interlock.old", "topic", durable=True)
    await managed.queue("somebody-elses")


async def test_what_nothing_declares_is_found_and_what_is_not_ours_or_expires_is_not(managed: Managed) -> None:
    await orphaned(managed)
    alpha = await RabbitTransport.connect(managed.broker.url("alpha-agent"), identity="alpha-agent")
    async with alpha.observe("#"), alpha.replies():
        drift = await managed.administration.drift(TOPOLOGY, announcements={"pong"})
    await alpha.aclose()

    found = {item.name if not isinstance(item, Binding) else str(item) for item in (o.item for o in drift.orphans)}
    assert found == {"old-agent", "interlock.old", "bind interlock.messages -> beta-agent (#)"}
    assert (await managed.blind.drift(TOPOLOGY)).orphans == ()


async def test_pruning_leaves_what_holds_messages_or_has_consumers(managed: Managed) -> None:
    await orphaned(managed)
    await managed.channel.default_exchange.publish(aio_pika.Message(b"{}"), "old-agent")
    drift = await managed.administration.drift(TOPOLOGY, announcements={"pong"})
    seen = await managed.administration.observe(drift.plan)

    (left,) = await managed.administration.prune(drift.orphans, seen.bindings or ())

    assert (left.orphan.item.name if isinstance(left.orphan.item, Queue) else "") == "old-agent"
    assert left.reason.startswith("it holds 1 messages")
    queue = await managed.channel.get_queue("old-agent")
    tag = await queue.consume(nothing, no_ack=True)
    again = await managed.administration.drift(TOPOLOGY, announcements={"pong"})
    assert [o.item.name for o in again.orphans if isinstance(o.item, Queue)] == ["old-agent"]
    (left,) = await managed.administration.prune(again.orphans, seen.bindings or ())
    assert left.reason.startswith("it has 1 consumers")
    await queue.cancel(tag)
    assert await managed.administration.prune(again.orphans, seen.bindings or ()) == ()
    assert (await managed.administration.drift(TOPOLOGY, announcements={"pong"})).is_empty


async def nothing(_: object) -> None:
    """A consumer that is there."""


async def test_a_wrong_password_a_wrong_port_and_a_missing_virtual_host_are_told_apart(managed: Managed) -> None:
    url = managed.broker.management_url()
    wrong = Management(url, vhost=VHOST, user="interlock-admin", password="wrong")
    with pytest.raises(LoginRefusedError, match="refused 'interlock-admin': check the password"):
        await wrong.table("queues")
    agent = Management(managed.broker.management_url("alpha-agent"), vhost=VHOST)
    with pytest.raises(LoginRefusedError, match="has the tag monitoring or administrator"):
        await agent.table("queues")
    silent = Management(f"http://127.0.0.1:{free_port()}", vhost=VHOST)
    with pytest.raises(BrokerUnavailableError, match=r"does not answer \(Connection refused"):
        await silent.get("overview")
    elsewhere = Management(url, vhost="nowhere")
    with pytest.raises(UsageError, match="does the virtual host 'nowhere' exist"):
        await elsewhere.table("queues")
    amqp = Management(f"http://127.0.0.1:{managed.broker.port}", vhost=VHOST)
    with pytest.raises(BrokerUnavailableError, match="does not answer"):
        await amqp.get("overview")
    encrypted = Management(url.replace("http://", "https://"), vhost=VHOST)
    with pytest.raises(BrokerUnavailableError, match="cannot be trusted or speaks no TLS"):
        await encrypted.get("overview")
    assert "wrong" not in repr(wrong) + repr(managed.management)


async def test_a_frozen_broker_is_given_up_after_the_timeout(managed: Managed) -> None:
    impatient = Management(managed.broker.management_url(), vhost=VHOST, timeout=0.5)
    managed.broker.freeze()
    try:
        with anyio.fail_after(10), pytest.raises(BrokerUnavailableError, match="does not answer"):
            await impatient.get("overview")
    finally:
        managed.broker.thaw()
    await eventually(lambda: managed.management.get("overview"), bool)


async def test_many_queues_are_read_page_by_page(managed: Managed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.bus.rabbitmq.management._PAGE", 2)
    await declared(managed)

    assert (await managed.administration.drift(TOPOLOGY)).is_empty


@pytest.mark.parametrize("url", ["ftp://host", "http://", "http://host:port", "host:15672"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="the management URL"):
        Management(url, vhost="/")


@pytest.mark.parametrize(
    ("url", "vhost"), [("amqp://h/interlock", "interlock"), ("amqp://h", "/"), ("amqp://h/%2F", "/")]
)
def test_the_virtual_host_is_the_url_s(url: str, vhost: str) -> None:
    assert vhost_of(url) == vhost


async def test_declaring_what_exists_otherwise_says_what_differs_and_what_to_do(managed: Managed) -> None:
    await declared(managed)
    admin = await RabbitTransport.connect(managed.broker.url(), identity="interlock-admin", journal=False)
    with pytest.raises(UsageError) as raised:
        await admin.declare(Topology((AgentQueue("beta-agent", delivery_limit=9),)))
    await admin.aclose()

    assert "queue 'beta-agent'" in str(raised.value)
    assert "x-delivery-limit: has 5, wants 9" in str(raised.value)
    assert "`interlock topology plan`" in str(raised.value)


async def test_consuming_a_queue_that_is_missing_says_how_it_comes_about(managed: Managed) -> None:
    beta = await RabbitTransport.connect(managed.broker.url("beta-agent"), identity="beta-agent", journal=False)
    with pytest.raises(BrokerUnavailableError, match="`interlock topology apply` declares what is missing"):
        async with beta.consume():
            pytest.fail("there is no queue")
    await beta.aclose()


async def test_a_policy_lowers_a_limit_at_once_and_cannot_raise_it(managed: Managed) -> None:
    """What the plan says of policies: without replacing anything, the lower one of argument and policy counts."""
    await declared(managed)
    alpha = await RabbitTransport.connect(managed.broker.url("alpha-agent"), identity="alpha-agent", journal=False)
    policy = ("set_policy", "--vhost", VHOST, "--apply-to", "queues", "beta-limit", "^beta-agent$")

    async def is_full() -> bool:
        try:
            await alpha.publish(outgoing(), timeout=2.0)
        except UnconfirmedError:
            return True
        return False

    try:
        await managed.broker.control(*policy, '{"max-length": 3}')
        await eventually(is_full, bool)
        await managed.broker.control(*policy, '{"max-length": 2000000}')
        await eventually(is_full, lambda full: not full)
    finally:
        await managed.broker.control("clear_policy", "--vhost", VHOST, "beta-limit")
        await alpha.aclose()
    assert (await managed.administration.drift(TOPOLOGY)).is_empty
