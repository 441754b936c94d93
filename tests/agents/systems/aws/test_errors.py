"""What goes wrong between us and AWS becomes an error that says what to do next."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from pydantic import SecretStr

from interlock.agents.systems.aws import Aws, AwsRefusedError, AwsSettings
from interlock.protocol.errors import TransientError, UnknownOutcomeError, UsageError


def settings(port: int) -> AwsSettings:
    return AwsSettings(
        region="ap-northeast-2",
        endpoint_url=f"http://127.0.0.1:{port}",
        access_key_id="id",
        secret_access_key=SecretStr("canary-4711"),
        read_timeout=2.0,
    )


@pytest.fixture
async def answering(request: pytest.FixtureRequest) -> AsyncIterator[Aws]:
    """A connection to a server that gives one fixed answer, or none."""
    response: bytes = request.param

    async def serve(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()
            if response:
                await stream.send(response)

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        port: int = listener.extra(SocketAttribute.local_port)  # noqa: S610 - a socket attribute, not a query
        tasks.start_soon(listener.serve, serve)
        async with Aws(settings(port)) as aws:
            yield aws
        tasks.cancel_scope.cancel()


HANG_UP = b""
OVERLOADED = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_THROTTLED = b"<ErrorResponse><Error><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"
THROTTLED = b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (
    len(_THROTTLED),
    _THROTTLED,
)


@pytest.mark.parametrize("answering", [HANG_UP, OVERLOADED], indirect=True)
async def test_a_change_whose_answer_is_lost_has_an_unknown_outcome(answering: Aws) -> None:
    with pytest.raises(UnknownOutcomeError, match=r"rds\.delete_db_instance for 'prod-db'"):
        await answering.rds.call("delete_db_instance", {"DBInstanceIdentifier": "prod-db"}, about="prod-db")


@pytest.mark.parametrize("answering", [HANG_UP, OVERLOADED], indirect=True)
async def test_a_read_whose_answer_is_lost_may_be_tried_again(answering: Aws) -> None:
    with pytest.raises(TransientError, match=r"rds\.describe_db_instances"):
        await answering.rds.call("describe_db_instances", about="prod-db")


@pytest.mark.parametrize("answering", [THROTTLED], indirect=True)
async def test_a_throttled_change_has_not_happened(answering: Aws) -> None:
    with pytest.raises(TransientError, match="throttles"):
        await answering.rds.call("delete_db_instance", {"DBInstanceIdentifier": "prod-db"}, about="prod-db")


async def test_an_unreachable_endpoint_is_transient_even_for_a_change() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with Aws(settings(unused.getsockname()[1])) as aws:
            with pytest.raises(TransientError, match="was not sent"):
                await aws.rds.call("delete_db_instance", {"DBInstanceIdentifier": "prod-db"}, about="prod-db")


async def test_a_refusal_carries_the_code_that_aws_gave(aws: Aws) -> None:
    with pytest.raises(AwsRefusedError) as caught:
        await aws.kms.call("describe_key", {"KeyId": "alias/none"}, about="alias/none")

    assert caught.value.code == "NotFoundException"
    assert "alias/none" in str(caught.value)


async def test_a_malformed_request_does_not_repeat_its_values(aws: Aws) -> None:
    with pytest.raises(UsageError) as caught:
        await aws.rds.call("create_db_instance", {"MasterUserPassword": ["canary-4711"]}, about="prod-db")

    assert "canary" not in str(caught.value)
    assert caught.value.__suppress_context__


async def test_a_closed_connection_says_how_to_open_it() -> None:
    with pytest.raises(UsageError, match="async with"):
        _ = Aws(settings(1)).rds


def test_the_secret_key_shows_up_in_no_repr() -> None:
    assert "canary" not in repr(settings(1)) + repr(Aws(settings(1)))
