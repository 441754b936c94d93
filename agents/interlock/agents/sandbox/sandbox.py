"""The outside world on the loopback interface: every system that the team needs, spoken to as in production."""

from __future__ import annotations

__all__ = ["JOURNAL", "Sandbox"]

import secrets
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import anyio
from aiohttp import web

from interlock.agents.sandbox.alerts import alerts_application
from interlock.agents.sandbox.aws import SandboxAws
from interlock.agents.sandbox.chat import chat_application
from interlock.agents.sandbox.database_servers import DatabaseServers
from interlock.agents.sandbox.jira import jira_application, seed_issue
from interlock.agents.sandbox.journal import Journal, Listener
from interlock.agents.sandbox.kubernetes import KubernetesApi
from interlock.agents.systems.tickets import TicketFile
from interlock.bus.clock import SystemClock

JOURNAL = "journal.jsonl"
"""The file in the sandbox's directory that holds every write, as the emulators saw it."""

_ACCOUNT = "devops-agent"
_REPORTER = "product-owner"
_CHANNELS = ("deployments", "incidents", "ops", "finance", "devops")
_HOST = "127.0.0.1"


class Sandbox:
    """All emulators together, as an async context manager; `settings` is what the team is to be started with."""

    def __init__(
        self,
        directory: Path,
        *,
        tickets: Mapping[str, TicketFile],
        region: str = "ap-northeast-2",
        spare_databases: int = 0,
    ) -> None:
        """`tickets` are the Jira issues that exist from the start, by key.

        `spare_databases` are servers that are started before an instance is asked for.
        """
        self._directory = directory
        self._tickets = tickets
        self._region = region
        self._spare_databases = spare_databases
        self._stack = AsyncExitStack()
        self.settings: dict[str, Any] = {}

    def __repr__(self) -> str:
        return f"Sandbox({str(self._directory)!r}, tickets={sorted(self._tickets)})"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await anyio.Path(self._directory).mkdir(parents=True, exist_ok=True)
            jira_password, token = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
            journal = stack.enter_context(Journal(self._directory / JOURNAL, clock=SystemClock()))
            databases = await stack.enter_async_context(
                DatabaseServers(self._directory / "databases", spare=self._spare_databases)
            )
            aws = await stack.enter_async_context(
                SandboxAws(region=self._region, databases=databases, journal=journal.of("aws"))
            )
            kubernetes = await stack.enter_async_context(KubernetesApi(token=token))
            jira = await _serve(stack, self._jira(jira_password, journal.of("jira")))
            chat = await _serve(stack, chat_application(journal=journal.of("chat")))
            alerts = await _serve(stack, alerts_application())
            self.settings = {
                "jira": {"url": jira, "user": _ACCOUNT, "token": jira_password, "cloud": False},
                "aws": {
                    "region": aws.settings.region,
                    "endpoint_url": aws.settings.endpoint_url,
                    "access_key_id": "sandbox",
                    "secret_access_key": "sandbox",
                },
                "kubernetes": {"server": kubernetes.url, "token": token},
                "chat": {
                    "slack": {channel: f"{chat}/slack/{channel}" for channel in _CHANNELS},
                    "slack_team": "S0DEVOPS",
                },
                "alerts": {"protocol": "http", "endpoint": f"{alerts}/", "receipts_url": alerts},
                "qa": {"ca_file": str(databases.ca_file)},
                "provisioning": {"engine": "auto", "artifact_bucket": "interlock-artifacts"},
            }
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._stack.aclose()

    def _jira(self, password: str, journal: Listener) -> web.Application:
        people = {name for ticket in self._tickets.values() for name in (ticket.reporter, ticket.assignee) if name}
        application = jira_application(
            clock=SystemClock(),
            credentials={_ACCOUNT: password},
            users={*people, _REPORTER, "operator"},
            journal=journal,
        )
        for key, ticket in self._tickets.items():
            fields = {
                "project": ticket.project,
                "issuetype": ticket.issue_type,
                "summary": ticket.summary,
                "description": ticket.description,
                "assignee": ticket.assignee,
                "labels": list(ticket.labels),
                "priority": ticket.priority,
            }
            seed_issue(application, fields, key=key, author=ticket.reporter or _REPORTER)
        return application


async def _serve(stack: AsyncExitStack, application: web.Application) -> str:
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, _HOST, 0).start()
    return f"http://{_HOST}:{runner.addresses[0][1]}"
