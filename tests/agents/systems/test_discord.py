"""The Discord client against a receiver that holds it to Discord's rules, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from interlock.agents.sandbox.chat import OUTAGES, Outage, chat_application
from interlock.agents.systems.discord import DiscordClient
from interlock.agents.systems.notification import ChatUnavailableError, Notification, NotificationKind
from interlock.protocol.errors import UsageError

ROLE = "165511591545143296"
CHANNELS = ("deployments", "incidents", "ops", "finance")


@pytest.fixture
async def chat() -> AsyncIterator[TestClient[Any, Any]]:
    async with TestClient(TestServer(chat_application())) as chat:
        yield chat


@pytest.fixture
async def discord(chat: TestClient[Any, Any]) -> AsyncIterator[DiscordClient]:
    client = DiscordClient({name: str(chat.make_url(f"/discord/{name}")) for name in CHANNELS}, team_role=ROLE)
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
        (NotificationKind.DEPLOYMENT_FAILED, "deployments", [f"role {ROLE}"]),
        (NotificationKind.INCIDENT, "incidents", ["everyone"]),
        (NotificationKind.THRESHOLD_EXCEEDED, "ops", []),
        (NotificationKind.COST_ALERT, "finance", []),
    ],
)
async def test_each_kind_reaches_its_channel_and_its_people(
    discord: DiscordClient, chat: TestClient[Any, Any], kind: NotificationKind, channel: str, mentions: list[str]
) -> None:
    await discord.send(Notification(kind, "배포 완료", ("RDS available",), "https://jira.example.com/browse/PROJ-140"))

    (message,) = await arrived(chat)
    assert (message["channel"], message["mentions"]) == (channel, mentions)
    assert "allowed_mentions" in message["body"]
    assert message["body"]["content"].endswith(
        "**배포 완료**\n• RDS available\n<https://jira.example.com/browse/PROJ-140>"
    )


@pytest.mark.parametrize("kind", list(NotificationKind))
async def test_text_adds_no_mention(discord: DiscordClient, chat: TestClient[Any, Any], kind: NotificationKind) -> None:
    hostile = f"@everyone @here <@&{ROLE}> <@&999999999999999999> <@123> **bold** [x](https://x)"

    await discord.send(Notification(kind, hostile, (hostile,)))

    (message,) = await arrived(chat)
    rest = message["body"]["content"].removeprefix("@everyone ").removeprefix(f"<@&{ROLE}> ")
    for mention in ("@everyone", "@here", "<@&", "<@1"):
        assert mention not in rest


async def test_long_messages_keep_their_link(discord: DiscordClient, chat: TestClient[Any, Any]) -> None:
    await discord.send(Notification(NotificationKind.INCIDENT, "*" * 900, ("_" * 900,) * 50, "https://example.com/x"))

    (message,) = await arrived(chat)
    assert len(message["body"]["content"]) <= 2_000
    assert message["body"]["content"].endswith("\n<https://example.com/x>")


async def test_a_rate_limit_is_transient_and_says_how_long(discord: DiscordClient, chat: TestClient[Any, Any]) -> None:
    chat.app[OUTAGES].append(Outage(429, "1.5"))

    with pytest.raises(ChatUnavailableError) as caught:
        await discord.send(Notification(NotificationKind.INCIDENT, "x"))

    assert caught.value.retry_after == 1.5


async def test_a_role_that_is_no_id_is_refused() -> None:
    with pytest.raises(UsageError, match="15 to 20 digits"):
        DiscordClient({}, team_role="devops-team")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"content": ""}, 50006),
        ({"content": "x" * 2_001}, 50035),
        ({"content": "x", "allowed_mentions": {"parse": ["roles"], "roles": [ROLE]}}, 50035),
    ],
)
async def test_the_receiver_refuses_what_discord_refuses(
    chat: TestClient[Any, Any], body: dict[str, object], code: int
) -> None:
    async with chat.post("/discord/ops", json=body) as response:
        assert (response.status, (await response.json())["code"]) == (400, code)
