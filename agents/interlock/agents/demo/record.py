"""Collects what a demonstration left behind: stores, Jira and AWS; it changes nothing."""

from __future__ import annotations

__all__ = ["Record", "gather"]

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import JsonValue

from interlock.agents.report.report import Report, Run
from interlock.agents.report.ticket import Ticket
from interlock.agents.settings import Settings
from interlock.agents.systems.aws.evidence import raw_resources
from interlock.agents.systems.aws.session import Aws, AwsSettings
from interlock.agents.systems.diagram import architecture_png
from interlock.agents.systems.jira.client import JiraClient
from interlock.bus.store.opening import open_reader
from interlock.bus.store.records import ApprovalRow, AuditRow
from interlock.protocol.codec import decode
from interlock.protocol.envelope import Envelope
from interlock.protocol.ids import conversation_of
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.messages.change import RequirementsAnalysed
from interlock.protocol.messages.handoff import InfrastructureReady
from interlock.protocol.roles import COORDINATOR, TEAM


@dataclass(frozen=True, slots=True)
class Record:
    """Everything that the report is made of."""

    envelopes: tuple[Envelope[Any], ...]
    """The whole conversation in the order of sending."""
    approvals: tuple[ApprovalRow, ...]
    audit: tuple[AuditRow, ...]
    ticket: Ticket
    resources: dict[str, JsonValue]
    diagram: bytes | None

    def report(self, run: Run) -> Report:
        """Put the report together."""
        return Report.build(
            self.envelopes,
            approvals=self.approvals,
            audit=self.audit,
            ticket=self.ticket,
            resources=self.resources,
            run=run,
        )


async def gather(settings: Settings, *, issue: str, said: Sequence[Envelope[Any]]) -> Record:
    """Read the agents' stores, the ticket and AWS; `said` is what the console sent, which has no store."""
    conversation = conversation_of(issue)
    envelopes = list(said)
    for name in TEAM:
        with open_reader(settings.store_address(name), agent=name) as reader:
            envelopes += [decode(body) for body in reader.conversation(conversation)]
    envelopes.sort(key=lambda envelope: envelope.sent_at)
    with open_reader(settings.store_address(COORDINATOR), agent=COORDINATOR) as reader:
        approvals = reader.approvals(conversation_id=conversation)
        audit = reader.audit(conversation_id=conversation)
    spec = next((e.payload.spec for e in reversed(envelopes) if isinstance(e.payload, RequirementsAnalysed)), None)
    ready = next((e.payload for e in envelopes if isinstance(e.payload, InfrastructureReady)), None)
    diagram = None
    if spec is not None and ready is not None:
        endpoint = f"{ready.connection.endpoint}:{ready.connection.port}"
        diagram = architecture_png(spec, endpoint=endpoint, title=f"{issue} {spec.identifier}")
    return Record(
        envelopes=tuple(envelopes),
        approvals=approvals,
        audit=audit,
        ticket=await _ticket(settings, issue),
        resources=await _resources(settings, spec) if spec else {},
        diagram=diagram,
    )


async def _ticket(settings: Settings, issue: str) -> Ticket:
    section = settings.jira
    client = JiraClient(
        section.url, user=section.user or None, token=section.token.get_secret_value(), cloud=section.cloud
    )
    try:
        return Ticket.of(await client.issue(issue), history=await client.history(issue))
    finally:
        await client.aclose()


async def _resources(settings: Settings, spec: DatabaseSpec) -> dict[str, JsonValue]:
    section = settings.aws
    account = AwsSettings(
        region=section.region,
        endpoint_url=section.endpoint_url,
        access_key_id=section.access_key_id,
        secret_access_key=section.secret_access_key,
    )
    async with Aws(account) as aws:
        return dict(await raw_resources(aws, spec))
