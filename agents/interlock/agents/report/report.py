"""Everything that is told about one run of a change, as one frozen value; it reads nothing and renders nothing."""

from __future__ import annotations

__all__ = ["Broker", "Report", "Run"]

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pydantic import JsonValue

from interlock.agents.report.approval import Approval, Refusal, refusals
from interlock.agents.report.checklist import ReportedCheck, reported_checks
from interlock.agents.report.standing import Standing
from interlock.agents.report.ticket import Ticket
from interlock.agents.report.timeline import Durations, StateEntry, durations, states_entered
from interlock.bus.store.records import ApprovalRow, AuditRow
from interlock.protocol.codec import encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message
from interlock.protocol.messages.change import ChangeOutcome, CostEstimateReady
from interlock.protocol.messages.provisioning import PlanReady
from interlock.protocol.messages.task import MissingInput
from interlock.protocol.values import CheckVerdict, Timestamp, Value

MessageT = TypeVar("MessageT", bound=Message)


class Broker(Value):
    """What carried the messages."""

    kind: str
    """`memory`, `private` or `external`."""
    version: str


class Run(Value):
    """The circumstances of one run."""

    started_at: Timestamp
    ended_at: Timestamp
    processes: dict[str, int]
    """Process id by agent; all the same when the agents shared one process."""
    broker: Broker
    engine: str
    """What applied, or would have applied, the plan: `terraform` or `aws-direct`."""
    sandbox: bool
    """Whether the outside systems were local emulators."""
    notes: tuple[str, ...] = ()
    """What this run did not prove, in sentences."""


class Report(Value):
    """One run of one change. Its JSON is `report.json`, which `Report.model_validate_json` reads back."""

    outcome: ChangeOutcome
    reason: str
    missing: tuple[MissingInput, ...]
    jira_issue: str
    sandbox: bool
    engine: str
    broker: Broker
    processes: dict[str, int]
    started_at: Timestamp
    ended_at: Timestamp
    durations: Durations
    states: tuple[StateEntry, ...]
    estimate: CostEstimateReady | None
    plan_digest: str | None
    revision: str | None
    plan: PlanReady | None
    """The last one that was made, for the environment that the ticket asks for."""
    checks: tuple[ReportedCheck, ...]
    approvals: tuple[Approval, ...]
    """Oldest first."""
    refusals: tuple[Refusal, ...]
    """Every decision that did not count, also those about a gate that never was."""
    jira: Ticket
    resources: dict[str, JsonValue]
    """What AWS describes, by the name of the call."""
    notes: tuple[str, ...]
    """What was not proven, in sentences."""
    messages: tuple[dict[str, JsonValue], ...]
    """Each as it was sent, in the order of sending."""

    @classmethod
    def build(
        cls,
        envelopes: Sequence[Envelope[Any]],
        *,
        approvals: Iterable[ApprovalRow],
        audit: Sequence[AuditRow],
        ticket: Ticket,
        resources: Mapping[str, JsonValue],
        run: Run,
    ) -> Report:
        """Put together what the conversation, the coordinator's store, Jira and AWS say.

        `envelopes` are the conversation in the order of sending; `approvals` and `audit` are its rows in the store.
        """
        refused = refusals(audit, envelopes=envelopes)
        gates = tuple(Approval.of(row, refused=refused) for row in approvals)
        states = states_entered(audit)
        standing = Standing.of(envelopes, approvals=gates)
        plan, estimate = _last(PlanReady, envelopes), _last(CostEstimateReady, envelopes)
        checks = reported_checks(envelopes)
        return cls(
            outcome=standing.outcome,
            reason=standing.reason,
            missing=standing.missing,
            jira_issue=ticket.key,
            sandbox=run.sandbox,
            engine=run.engine,
            broker=run.broker,
            processes=run.processes,
            started_at=run.started_at,
            ended_at=run.ended_at,
            durations=durations(envelopes, states=states, approvals=gates, started=run.started_at, ended=run.ended_at),
            states=states,
            estimate=estimate,
            plan_digest=plan.plan_digest if plan else None,
            revision=plan.revision if plan else None,
            plan=plan,
            checks=checks,
            approvals=gates,
            refusals=refused,
            jira=ticket,
            resources=dict(resources),
            notes=(*run.notes, *_unproven(checks, estimate)),
            messages=tuple(json.loads(encode(envelope)) for envelope in envelopes),
        )

    @property
    def process_layout(self) -> str:
        """How the agents were spread over processes, in words."""
        return "one process each" if len(set(self.processes.values())) > 1 else "all in one process"

    def to_json(self) -> str:
        """Return the one JSON object that `report.json` holds, indented, with a final line feed."""
        return self.model_dump_json(by_alias=True, indent=2) + "\n"


def _last(kind: type[MessageT], envelopes: Sequence[Envelope[Any]]) -> MessageT | None:
    return next((e.payload for e in reversed(envelopes) if isinstance(e.payload, kind)), None)


def _unproven(checks: Iterable[ReportedCheck], estimate: CostEstimateReady | None) -> Iterator[str]:
    """Say what counts as open: unknown and waived checks, and what has no price."""
    for check in checks:
        if check.verdict in {CheckVerdict.UNKNOWN, CheckVerdict.WAIVED}:
            yield f"{check.id} {check.title} is {check.verdict} ({check.stage}): {check.evidence}"
    if estimate is not None:
        yield from (f"not in the estimate: {item}" for item in estimate.unpriced)
