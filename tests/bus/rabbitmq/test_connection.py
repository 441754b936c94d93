"""Reaching a broker over several addresses, and what is said when none answers."""

from __future__ import annotations

import pytest

from bus.conftest import RabbitHarness
from bus.harness import outgoing, take
from bus.tcp_proxy import TcpProxy
from interlock.bus.errors import BrokerUnavailableError, LoginRefusedError
from interlock.bus.private_broker import PrivateBroker
from interlock.bus.private_process import free_port
from interlock.bus.rabbitmq import RabbitTransport
from interlock.protocol.errors import UsageError

pytestmark = pytest.mark.rabbitmq


async def test_a_dead_address_is_passed_over(rabbit: RabbitHarness, rabbitmq: PrivateBroker) -> None:
    await rabbit.declare("beta-agent")
    living = rabbitmq.url("alpha-agent")
    dead = living.replace(str(rabbitmq.port), str(free_port()))
    alpha = await RabbitTransport.connect([dead, living], identity="alpha-agent")
    await alpha.publish(outgoing())
    await alpha.aclose()


async def test_a_connection_that_broke_is_made_again_over_another_address(
    rabbit: RabbitHarness, rabbitmq: PrivateBroker
) -> None:
    await rabbit.declare("beta-agent")
    living = rabbitmq.url("alpha-agent")
    async with TcpProxy.to(rabbitmq.port) as proxy:
        first = living.replace(str(rabbitmq.port), str(proxy.port))
        alpha = await RabbitTransport.connect([first, living], identity="alpha-agent")
        await alpha.publish(outgoing(b"before"))
        assert proxy.accepted == 2  # one to consume, one to publish
    await alpha.publish(outgoing(b"after"))
    await alpha.aclose()
    async with (await rabbit.connect("beta-agent")).consume() as deliveries:
        assert [delivery.body for delivery in await take(deliveries, 2)] == [b"before", b"after"]


async def test_when_no_address_answers_the_error_names_them_and_the_cause_but_no_password() -> None:
    port = free_port()
    with pytest.raises(BrokerUnavailableError) as unavailable:
        await RabbitTransport.connect(
            f"amqp://alpha-agent:s3cret@127.0.0.1:{port}/interlock", identity="alpha-agent", timeout=0.5
        )
    text = str(unavailable.value)
    assert f"127.0.0.1:{port}" in text
    assert "Connection" in text
    assert "s3cret" not in text


async def test_wrong_credentials_are_refused_at_once_without_being_repeated(rabbitmq: PrivateBroker) -> None:
    url = f"amqp://alpha-agent:s3cret@127.0.0.1:{rabbitmq.port}/interlock"
    with pytest.raises(LoginRefusedError) as refused:
        await RabbitTransport.connect(url, identity="alpha-agent")
    assert "s3cret" not in str(refused.value)


async def test_a_virtual_host_that_does_not_exist_is_named_as_the_likely_cause(rabbitmq: PrivateBroker) -> None:
    url = rabbitmq.url("alpha-agent").removesuffix("interlock") + "other"
    with pytest.raises(BrokerUnavailableError, match="virtual host"):
        await RabbitTransport.connect(url, identity="alpha-agent", timeout=0.5)


async def test_no_representation_shows_a_password(rabbit: RabbitHarness, rabbitmq: PrivateBroker) -> None:
    url = rabbitmq.url("alpha-agent")
    password = url.split(":")[2].split("@")[0]
    assert password not in repr(await rabbit.connect("alpha-agent"))
    assert password not in repr(rabbitmq)


@pytest.mark.parametrize("url", ["http://localhost", "amqp://", "memory:"])
async def test_what_is_no_broker_url_is_a_usage_error(url: str) -> None:
    with pytest.raises(UsageError, match="amqp://"):
        await RabbitTransport.connect(url, identity="alpha-agent")


async def test_no_url_at_all_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="at least one"):
        await RabbitTransport.connect([], identity="alpha-agent")
