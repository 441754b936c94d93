"""A model of everyone around the coordinator, and of a network that shuffles, repeats and loses; one seed, one run."""

from __future__ import annotations

__all__ = ["Run"]

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeAlias

from agents.coordinator import story
from interlock.agents.coordinator import Change
from interlock.agents.coordinator.data import ChangeData
from interlock.agents.testing import WorkflowTester
from interlock.protocol.ids import derived_id
from interlock.protocol.message import Message, days
from interlock.protocol.messages.approval import ApprovalGranted, ApprovalRefused, ApprovalRequest
from interlock.protocol.messages.change import (
    ChangeConcluded,
    DocumentationRequest,
    InfrastructureRequest,
    MonitoringRequest,
    RequirementsAnalysisRequest,
    TicketCloseRequest,
)
from interlock.protocol.messages.handoff import HandoffRequest
from interlock.protocol.messages.provisioning import (
    InfrastructureApply,
    PlanRequest,
    ReconciliationRequest,
    ReconciliationResult,
    VerificationRequest,
)
from interlock.protocol.messages.task import (
    DeadlineExceeded,
    InputProvided,
    InputRequired,
    MissingInput,
    TaskCancelled,
    TaskDeclined,
    TaskFailed,
    TaskProgress,
)
from interlock.protocol.roles import BACKEND, CONSOLE, COORDINATOR, DEPLOY, DEVOPS, QA, SECURITY
from interlock.protocol.values import CheckVerdict, Environment

Said: TypeAlias = tuple[Message, str]
"""A message and its sender."""

FAILED = TaskFailed(code="failed", reason="it did not work")
UNKNOWN = TaskFailed(code="unknown_outcome", reason="the connection broke", outcome="unknown")
DECLINED = TaskDeclined(code="unsupported", reason="not possible")
MISSING = InputRequired(missing=(MissingInput(field="engine", question="Which engine?", cause="missing"),))
PROVIDED = InputProvided(answers={"engine": "postgres"})
REQUESTED, ANALYSED = story.WAY[0], story.WAY[1]
MONITORED, DOCUMENTED, CLOSED = story.TO_THE_END[2], story.TO_THE_END[3], story.TO_THE_END[-1]
ESTIMATES = (story.estimate(), story.estimate(170), story.estimate(400))
LATEST = 6
PLANS = [story.plan(number) for number in range(LATEST)]
REVIEWS = [story.review(number) for number in range(LATEST)]
REJECTIONS = [story.review(number, verdict="rejected") for number in range(LATEST)]
STAGES = (Environment.TEST, Environment.PRODUCTION)
APPLIED = {(stage, number): story.applied(stage, number) for stage in STAGES for number in range(LATEST)}
DRIFTS = {(stage, number): story.drift(stage, number) for stage in STAGES for number in range(LATEST)}
FOUND = {
    (stage, number): [
        story.reconciled(stage, outcome, number) for outcome in ("applied", "partly_applied", "not_applied")
    ]
    for stage in STAGES
    for number in range(LATEST)
}
VERIFIED = {stage: [story.verified(stage, verdict) for verdict in CheckVerdict] for stage in STAGES}
ACCEPTANCES = [story.handoff(peer) for peer in (BACKEND, SECURITY, QA, DEPLOY)]
STEPS = {step: TaskProgress(step=step) for step in ("in_progress", "coded", "in_review", "applying", "handed_off")}
NOISE: Sequence[Said] = (
    (TaskCancelled(reason="no longer wanted"), CONSOLE),
    (TaskCancelled(reason="spoofed"), QA),
    (DECLINED, BACKEND),
    (FAILED, SECURITY),
    (REQUESTED, CONSOLE),
    (PROVIDED, DEPLOY),
    (APPLIED[Environment.PRODUCTION, 0], DEVOPS),
    (VERIFIED[Environment.PRODUCTION][0], DEVOPS),
    (MONITORED, DEVOPS),
    (CLOSED, DEVOPS),
    (STEPS["applying"], DEVOPS),
    (
        DeadlineExceeded(
            request_id=derived_id("x"), request_type="plan_request", deadline=datetime(2026, 1, 5, 9, tzinfo=UTC)
        ),
        DEVOPS,
    ),
)


class Run:
    """One change from its request to well after its end, with what must hold asserted at every step."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.change: WorkflowTester[ChangeData] = WorkflowTester(Change)
        self.on_the_way: list[Said] = []
        self.inbox: list[Said] = []
        """What was taken in: like a store, it takes in everything once."""
        self.visited: set[str] = set()
        self.plans = -1
        self.granted: ApprovalGranted | None = None
        """The yes that is being delivered at this moment."""
        self.asked: dict[str, ApprovalRequest] = {}
        self.ordered: set[str] = set()
        """Approvals on which an apply was ordered."""
        self.in_doubt = False
        self.closings = 0
        self.conclusions = 0

    def play(self) -> str:
        """Run to the end; returns the final state."""
        self._deliver(self.chance.choice(NOISE))
        self._deliver((REQUESTED, CONSOLE))
        for _ in range(150):
            if self.change.ended:
                break
            self._happen()
        while not self.change.ended:
            assert self.change.timers, f"seed {self.seed}: nothing would ever wake {self.change!r}"
            self._told(self.change.advance(days(4)))
        assert self.closings == 1, f"seed {self.seed}: {self.closings} times was the ticket to be closed"
        assert self.conclusions == 1, f"seed {self.seed}: concluded {self.conclusions} times"
        self._try_to_move_the_end()
        return self.change.state

    def _happen(self) -> None:
        chance = self.chance.random()
        if not self.on_the_way or chance < 0.03:
            self._told(self.change.advance(self.chance.choice((30.0, 600.0, 1799.0, 1800.0, 4000.0))))
        elif chance < 0.06:
            self._deliver(self.chance.choice(NOISE))
        else:
            # Mostly in order, as one queue delivers; sometimes a late one comes first.
            place = 0 if self.chance.random() < 0.8 else self.chance.randrange(len(self.on_the_way))
            said = self.on_the_way.pop(place)
            fate = self.chance.random()
            if fate < 0.01:
                return
            if fate < 0.08:
                self.on_the_way.append(said)
            if not any(said is known for known in self.inbox):
                self.inbox.append(said)
                self._deliver(said)

    def _deliver(self, said: Said) -> None:
        message, sender = said
        self.granted = message if isinstance(message, ApprovalGranted) else None
        if isinstance(message, ReconciliationResult):
            self.in_doubt = False
        self._told(self.change.receives(message, sender=sender))
        self.granted = None

    def _told(self, messages: Sequence[Message]) -> None:
        self.visited.add(self.change.state)
        for message in messages:
            self._check(message)
            self.on_the_way += self._reactions(message)

    def _check(self, message: Message) -> None:
        match message:
            case InfrastructureApply():
                self._check_order(message)
            case ApprovalRequest():
                self.asked[message.approval_id] = message
            case ReconciliationRequest():
                self.in_doubt = True
            case TicketCloseRequest():
                self.closings += 1
            case ChangeConcluded():
                self.conclusions += 1
            case _:
                pass

    def _check_order(self, order: InfrastructureApply) -> None:
        where = f"seed {self.seed}: {order.environment} is to be changed"
        assert order.approval_id not in self.ordered, f"{where} twice on one approval"
        assert not self.in_doubt, f"{where} though nobody looked what the last apply did"
        self.ordered.add(order.approval_id)
        if order.environment is Environment.TEST:
            assert order.plan_digest == story.digest(f"test{self.plans}"), f"{where} by an old plan"
            return
        yes = self.granted
        assert yes is not None, f"{where} without a person's yes"
        assert yes.approval_id == order.approval_id, f"{where} on another approval"
        assert yes.digest == order.plan_digest == PLANS[self.plans].plan_digest, f"{where} by another plan"
        assert yes.approver == "Kim", f"{where} on the word of {yes.approver}"
        assert self.change.now < self.asked[yes.approval_id].expires_at, f"{where} on an expired approval"

    def _try_to_move_the_end(self) -> None:
        stood = (self.change.state, self.change.data)
        for message, sender in (*self.on_the_way, *self.chance.sample(NOISE, 4)):
            for answer in self.change.receives(message, sender=sender):
                assert isinstance(answer, ApprovalRefused | TaskDeclined), (
                    f"seed {self.seed}: sent {answer!r} at the end"
                )
        assert not self.change.advance(days(30))
        assert (self.change.state, self.change.data) == stood, f"seed {self.seed}: the end was moved"

    def _reactions(self, message: Message) -> list[Said]:
        """Return what the one who gets this says, now or later."""
        likely = self.chance.random()
        match message:
            case RequirementsAnalysisRequest():
                return _devops(ANALYSED if likely < 0.9 else MISSING if likely < 0.97 else FAILED)
            case InputRequired():
                return [(PROVIDED, CONSOLE)] if likely < 0.9 else []
            case InfrastructureRequest():
                return _devops(ESTIMATES[0 if likely < 0.8 else 1 if likely < 0.9 else 2])
            case PlanRequest():
                return self._planned(likely)
            case ApprovalRequest():
                return self._decided(message, likely)
            case InfrastructureApply(environment=stage):
                return self._executed(stage, likely)
            case ReconciliationRequest(environment=stage):
                return _devops(FOUND[stage, self.plans][0 if likely < 0.5 else 1 if likely < 0.75 else 2])
            case VerificationRequest(environment=stage):
                results = VERIFIED[stage]
                return _devops(results[0] if likely < 0.95 else self.chance.choice(results))
            case MonitoringRequest():
                return _devops(MONITORED if likely < 0.97 else FAILED)
            case DocumentationRequest():
                return _devops(DOCUMENTED if likely < 0.97 else UNKNOWN)
            case HandoffRequest():
                answers = ACCEPTANCES if likely < 0.9 else [*ACCEPTANCES[:3], story.handoff(DEPLOY, "declined")]
                return _devops(STEPS["handed_off"], *answers)
            case TicketCloseRequest():
                return _devops(CLOSED if likely < 0.9 else FAILED)
            case _:
                return []

    def _planned(self, likely: float) -> list[Said]:
        self.plans += 1
        if likely < 0.03:
            return _devops(STEPS["in_progress"], FAILED)
        verdict = REVIEWS[self.plans] if likely < 0.93 else REJECTIONS[self.plans] if likely < 0.97 else REVIEWS[5]
        review: list[Said] = [(STEPS["in_review"], SECURITY), (verdict, SECURITY)]
        return [*_devops(STEPS["in_progress"], STEPS["coded"], PLANS[self.plans]), *review]

    def _decided(self, request: ApprovalRequest, likely: float) -> list[Said]:
        decision: Message
        if likely < 0.7:
            decision = story.grant(request)
        elif likely < 0.9:
            decision = story.grant(request, self.chance.choice(("dana", story.REQUESTER, COORDINATOR, "my-agent")))
        elif likely < 0.94:
            decision = story.grant(request, of=story.digest("other"))
        elif likely < 0.97:
            decision = story.deny(request)
        else:
            return []
        return [(decision, CONSOLE)]

    def _executed(self, stage: Environment, likely: float) -> list[Said]:
        applied = APPLIED[stage, self.plans]
        if likely < 0.7:
            return _devops(STEPS["applying"], applied)
        if likely < 0.8:
            return _devops(STEPS["applying"], UNKNOWN)
        if likely < 0.86:  # it was applied after all, and says so late
            return _devops(UNKNOWN, applied)
        return _devops(DRIFTS[stage, self.plans] if likely < 0.95 else FAILED)


def _devops(*messages: Message) -> list[Said]:
    return [(message, DEVOPS) for message in messages]
