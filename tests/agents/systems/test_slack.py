"""The Slack client against a receiver that holds it to Slack's rules, over HTTP."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest
from aiohttp.test_utils import TestClient, TestServer
from anyio.abc import SocketAttribute, SocketStream

from interlock.agents.sandbox.chat import OUTAGES, Outage, chat_application
from interlock.agents.systems.notification import ChatUnavailableError, Notification, NotificationKind
from interlock.agents.systems.slack import SlackClient
from interlock.protocol.errors import PermanentError, TransientError, UnknownOutcomeError, UsageError

SECRET = "canary-T0-B0-XXXX"
CHANNELS = ("deployments", "incidents", "ops", "finance")


@pytest.fixture
async def chat() -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(chat_application())) as chat:
        yield chat


@pytest.fixture
async def slack(chat: TestClient[Any, Any]) -> AsyncIterator[SlackClient]:
    urls = {channel: f"{chat.make_url(f'/slack/{channel}')}?{SECRET}" for channel in CHANNELS}
    client = SlackClient(urls, team_group="S0614TZR7")
    yield client
    await client.aclose()


async def arrived(chat: TestClient[Any, Any]) -> list[dict[str, Any]]:
    async with chat.get("/messages") as response:
        messages: list[dict[str, Any]] = await response.json()
    return messages


@pytest.mark.parametrize(
    ("kind", "channel", "mentions"),
    [
        (NotificationKind.DEPLOYMENT_SUCCEEDED, "deployments", []),
        (NotificationKind.DEPLOYMENT_FAILED, "deployments", ["!subteam^S0614TZR7"]),
        (NotificationKind.INCIDENT, "incidents", ["!channel"]),
        (NotificationKind.THRESHOLD_EXCEEDED, "ops", []),
        (NotificationKind.COST_ALERT, "finance", []),
    ],
)
async def test_each_kind_reaches_its_channel_and_its_people(
    slack: SlackClient, chat: TestClient[Any, Any], kind: NotificationKind, channel: str, mentions: list[str]
) -> None:
    await slack.send(Notification(kind, "PROJ-140", ("RDS available",), "https://jira.example.com/browse/PROJ-140"))

    (message,) = await arrived(chat)
    assert (message["channel"], message["mentions"]) == (channel, mentions)
    texts = [block["text"]["text"] for block in message["body"]["blocks"]]
    assert texts[0].endswith("*PROJ-140*")
    assert texts[1:] == ["• RDS available", "<https://jira.example.com/browse/PROJ-140|Open>"]


async def test_text_mentions_nobody_and_is_shown_as_it_is(slack: SlackClient, chat: TestClient[Any, Any]) -> None:
    hostile = "<!channel> <@U123> <!subteam^S1|x> a & b\n<https://x|y>\u202e"

    await slack.send(Notification(NotificationKind.COST_ALERT, hostile, (hostile,)))

    (message,) = await arrived(chat)
    assert message["mentions"] == []
    shown = "&lt;!channel&gt; &lt;@U123&gt; &lt;!subteam^S1|x&gt; a &amp; b &lt;https://x|y&gt;"
    assert message["body"]["blocks"][1]["text"]["text"] == f"• {shown}"
    assert all(block["text"]["verbatim"] for block in message["body"]["blocks"])


async def test_long_messages_are_cut_to_what_slack_takes(slack: SlackClient, chat: TestClient[Any, Any]) -> None:
    await slack.send(Notification(NotificationKind.INCIDENT, "&" * 9_000, ("<" * 9_000,) * 100))

    assert len(await arrived(chat)) == 1


@pytest.mark.parametrize(("header", "seconds"), [("30", 30.0), (None, None), ("soon", None)])
async def test_a_rate_limit_is_transient_and_says_how_long(
    slack: SlackClient, chat: TestClient[Any, Any], header: str | None, seconds: float | None
) -> None:
    chat.app[OUTAGES].append(Outage(429, header))

    with pytest.raises(ChatUnavailableError) as caught:
        await slack.send(Notification(NotificationKind.INCIDENT, "x"))

    assert caught.value.retry_after == seconds
    assert await arrived(chat) == []


async def test_an_outage_is_transient_and_a_refusal_is_permanent(
    slack: SlackClient, chat: TestClient[Any, Any]
) -> None:
    chat.app[OUTAGES].extend([Outage(503), Outage(404)])

    with pytest.raises(TransientError, match="HTTP 503"):
        await slack.send(Notification(NotificationKind.INCIDENT, "x"))
    with pytest.raises(PermanentError, match="HTTP 404"):
        await slack.send(Notification(NotificationKind.INCIDENT, "x"))


async def test_the_address_stays_out_of_logs_and_errors(
    slack: SlackClient, chat: TestClient[Any, Any], caplog: pytest.LogCaptureFixture
) -> None:
    chat.app[OUTAGES].append(Outage(404))
    with caplog.at_level(logging.INFO), pytest.raises(PermanentError) as caught:
        await slack.send(Notification(NotificationKind.INCIDENT, "x"))

    httpx_said = [record.getMessage() for record in caplog.records if record.name.startswith("http")]
    assert SECRET not in f"{caught.value!r} {slack!r} {httpx_said}"


async def test_nobody_listening_is_transient() -> None:
    server = TestServer(chat_application())
    await server.start_server()
    url = str(server.make_url("/slack/incidents"))
    await server.close()
    client = SlackClient({"incidents": url}, team_group="S0614TZR7", timeout=2.0)

    with pytest.raises(TransientError, match="cannot be reached for #incidents"):
        await client.send(Notification(NotificationKind.INCIDENT, "x"))
    await client.aclose()


async def test_a_connection_closed_without_an_answer_has_an_unknown_outcome() -> None:
    async def hang_up(stream: SocketStream) -> None:
        async with stream:
            await stream.receive()

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:
        group.start_soon(listener.serve, hang_up)
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - a socket, not a query
        client = SlackClient({"incidents": f"http://127.0.0.1:{port}/"}, team_group="S0614TZR7")
        with pytest.raises(UnknownOutcomeError, match="look there before posting again"):
            await client.send(Notification(NotificationKind.INCIDENT, "x"))
        await client.aclose()
        group.cancel_scope.cancel()


async def test_a_channel_without_a_webhook_is_a_mistake_of_the_configuration(chat: TestClient[Any, Any]) -> None:
    client = SlackClient({"ops": str(chat.make_url("/slack/ops"))}, team_group="S0614TZR7")

    with pytest.raises(UsageError, match="no Slack webhook is configured for #incidents"):
        await client.send(Notification(NotificationKind.INCIDENT, "x"))
    await client.aclose()


@pytest.mark.parametrize(
    "link", ["javascript:alert(1)", "https://x|<!channel>", "https://a b", "https://", "file:///x"]
)
def test_a_link_that_is_no_plain_web_address_is_refused(link: str) -> None:
    with pytest.raises(UsageError, match="link"):
        Notification(NotificationKind.INCIDENT, "x", link=link)
