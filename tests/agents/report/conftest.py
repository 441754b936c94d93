"""A change that went all the way, as its conversation, its rows in the store and its ticket."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from interlock.agents.report import Broker, Report, Run, Ticket
from interlock.agents.systems.jira.issue import Comment, HistoryEntry, Issue
from interlock.bus.store.records import ApprovalRow, ApprovalState, AuditEntry, AuditRow
from interlock.protocol import Envelope
from interlock.protocol.ids import conversation_of, derived_id
from interlock.protocol.infrastructure import Budget, DatabaseEngine, DatabaseSpec, StorageType
from interlock.protocol.message import Message
from interlock.protocol.messages.approval import (
    ApprovalGranted,
    ApprovalRefused,
    ApprovalRequest,
    ApprovalSubject,
    Risk,
)
from interlock.protocol.messages.change import (
    AppliedResource,
    ChangeConcluded,
    ChangeOutcome,
    ChangeRequested,
    CostEstimateReady,
    CostLine,
    DocumentationPublished,
    DocumentationRequest,
    InfrastructureApplied,
    InfrastructureApply,
    InfrastructureRequest,
    MonitoringConfigured,
    MonitoringRequest,
    PlanReady,
    PlanRequest,
    PlanSummary,
    PropertyChange,
    RequirementsAnalysed,
    RequirementsAnalysisRequest,
    ResourceChange,
    TicketClosed,
    TicketCloseRequest,
    VerificationRequest,
    VerificationResult,
)
from interlock.protocol.messages.handoff import (
    PLAN_SCOPE,
    RESOURCES_SCOPE,
    ConfigurationMonitoring,
    Connection,
    ConnectivityTarget,
    ConnectivityTestRequest,
    ConnectivityTestResult,
    DeploymentEnvironmentAcknowledged,
    DeploymentEnvironmentReady,
    EnvironmentResources,
    HandoffRequest,
    HandoffResult,
    InfrastructureAcknowledged,
    InfrastructureReady,
    PoolConfiguration,
    SecurityReviewRequest,
    SecurityReviewResult,
)
from interlock.protocol.messages.presence import AgentAnnounced, AgentHeartbeat
from interlock.protocol.messages.task import TaskProgress
from interlock.protocol.roles import BACKEND, CONSOLE, COORDINATOR, DEPLOY, DEVOPS, QA, SECURITY, TEAM
from interlock.protocol.values import CheckResult, CheckVerdict, Environment

KEY = "PROJ-140"
BEGAN = datetime(2026, 1, 31, 9, tzinfo=UTC)
PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010804000000b51c0c020000000b4944415478da6364f80f00010501012718e3660000"
    "000049454e44ae426082"
)
"""The smallest PNG."""

SPEC = DatabaseSpec(
    engine=DatabaseEngine.POSTGRES,
    engine_version="14",
    instance_class="db.t3.medium",
    storage_gb=100,
    storage_type=StorageType.GP3,
    multi_az=True,
    backup_retention_days=7,
    encryption_at_rest=True,
    encryption_in_transit=True,
    publicly_accessible=False,
    environment=Environment.PRODUCTION,
    region="ap-northeast-2",
    vpc="prod-vpc",
    security_group="db-sg",
    identifier="prod-db-postgresql",
)
CONNECTION = Connection(
    secret_name=SPEC.secret_name,
    secret_manager="AWS Secrets Manager",
    endpoint="prod-db.abc123.ap-northeast-2.rds.amazonaws.com",
    port=5432,
    database="app_db",
)


def digest(letter: str) -> str:
    return f"sha256:{letter * 64}"


def check(identifier: str, title: str, evidence: str, *, verdict: CheckVerdict = CheckVerdict.PASS) -> CheckResult:
    return CheckResult(id=identifier, title=title, verdict=verdict, evidence=evidence)


PLAN_CHECKS = (
    check("K1", "Private subnets for databases", "aws_db_subnet_group.production lists two private subnets"),
    check("K4", "Encryption at rest", "storage_encrypted = true, kms_key_id is set"),
    check("K10", "Auto-scaling groups", "not a part of a single database", verdict=CheckVerdict.WAIVED),
)
REAL_CHECKS = (
    check("K1", "Private subnets for databases", "DescribeDBInstances: PubliclyAccessible is false"),
    check("K2", "Least-privilege security groups", "db-sg admits 5432 from app-sg alone"),
    check("K8", "Network ACLs", "the emulator answers with the default ACL", verdict=CheckVerdict.UNKNOWN),
)
PROPERTY_CHECKS = (
    check("engine", "Engine", "postgres 14.17"),
    check("instance-class", "Instance class", "db.t3.medium"),
    check("multi-az", "Multi-AZ", "true"),
)
PROBE_CHECKS = (
    check("tls", "TLS", "TLSv1.3, certificate of the sandbox's authority"),
    check("login", "Login", "as app with the credentials from prod/database/credentials"),
)
CHANGES = (
    ResourceChange(
        address="aws_db_instance.production",
        action="create",
        properties=(
            PropertyChange(name="engine", after="postgres"),
            PropertyChange(name="instance_class", after="db.t3.medium"),
            PropertyChange(name="endpoint"),
        ),
    ),
    ResourceChange(
        address="aws_security_group.db-sg",
        action="update",
        properties=(PropertyChange(name="ingress", before="0.0.0.0/0", after="10.0.1.0/24"),),
    ),
    ResourceChange(address="aws_db_instance.legacy", action="destroy"),
)


@dataclass
class Story:
    """Messages that follow one another, with what the coordinator notes meanwhile."""

    envelopes: list[Envelope[Message]] = field(default_factory=list)
    audit: list[AuditRow] = field(default_factory=list)
    approvals: list[ApprovalRow] = field(default_factory=list)
    now: datetime = BEGAN

    def say(self, sender: str, receiver: str, payload: Message, *, after: float = 0.2) -> Envelope[Message]:
        self.now += timedelta(seconds=after)
        envelope: Envelope[Message] = Envelope.wrap(
            payload,
            sender=sender,
            receiver=receiver,
            sent_at=self.now,
            id=derived_id(KEY, len(self.envelopes)),
            conversation_id=conversation_of(KEY),
        )
        self.envelopes.append(envelope)
        return envelope

    def ask(self, payload: Message, answer: Message, *, after: float = 0.4) -> None:
        """The coordinator asks the devops agent, who answers."""
        self.say(COORDINATOR, DEVOPS, payload)
        self.say(DEVOPS, COORDINATOR, answer, after=after)

    def note(self, action: str, **details: str) -> None:
        entry = AuditEntry(conversation_id=conversation_of(KEY), actor=DEVOPS, action=action, details=details)
        number = len(self.audit) + 1
        self.audit.append(AuditRow(number=number, at=self.now, entry=entry, previous_hash="", hash=""))

    def enter(self, state: str) -> None:
        self.note("entered", state=state)

    def approve(self, name: str, letter: str, environment: Environment, *, approver: str, waited: float) -> None:
        self.approvals.append(
            ApprovalRow(
                id=derived_id("approval", name),
                conversation_id=conversation_of(KEY),
                subject="plan",
                digest=digest(letter),
                environment=environment,
                author="reporter",
                summary=f"Apply plan {digest(letter)} of {KEY} to {environment}",
                state=ApprovalState.USED,
                requested_at=self.now - timedelta(seconds=waited),
                expires_at=self.now + timedelta(minutes=30),
                approver=approver,
                decided_at=self.now,
            )
        )


def _understand(story: Story) -> None:
    budget = Budget(monthly=Decimal(150))
    story.say(CONSOLE, COORDINATOR, ChangeRequested(jira_issue=KEY, requested_by="jiyoung"), after=0)
    story.enter("analysing")
    story.ask(
        RequirementsAnalysisRequest(jira_issue=KEY),
        RequirementsAnalysed(jira_issue=KEY, spec=SPEC, environment=SPEC.environment, budget=budget, author="reporter"),
    )
    story.ask(
        InfrastructureRequest(jira_issue=KEY, spec=SPEC, environment=SPEC.environment, budget=budget),
        CostEstimateReady(
            jira_issue=KEY,
            monthly=Decimal("143.81"),
            currency="USD",
            line_items=(
                CostLine(
                    item="db.t3.medium, Multi-AZ",
                    quantity=Decimal(730),
                    unit="hour",
                    unit_price=Decimal("0.16"),
                    monthly=Decimal("116.80"),
                ),
                CostLine(
                    item="gp3 storage, Multi-AZ",
                    quantity=Decimal(100),
                    unit="GB-month",
                    unit_price=Decimal("0.2701"),
                    monthly=Decimal("27.01"),
                ),
            ),
            unpriced=("data transfer out of the region",),
            source="AWS price list, 2026-01-15",
            budget=budget,
            over_budget=False,
            digest=digest("e"),
        ),
    )
    story.enter("estimated")


def _plan(story: Story) -> None:
    story.say(COORDINATOR, DEVOPS, PlanRequest(jira_issue=KEY, spec=SPEC), after=0)
    story.say(DEVOPS, COORDINATOR, TaskProgress(step="in_progress"))
    story.enter("in_progress")
    story.say(DEVOPS, COORDINATOR, TaskProgress(step="coded", percent=50))
    story.enter("coded")
    rehearsal = PlanSummary(
        environment=Environment.TEST, plan_digest=digest("b"), creates=3, updates=0, destroys=0, changes=CHANGES[:1]
    )
    plan = PlanReady(
        jira_issue=KEY,
        environment=SPEC.environment,
        plan_digest=digest("a"),
        revision=digest("c"),
        terraform="s3://terraform-state/revisions/cccccccccccc",
        engine="aws-direct",
        creates=1,
        updates=1,
        destroys=1,
        changes=CHANGES,
        findings=("backup window left to AWS",),
        rehearsal=rehearsal,
        expires_at=BEGAN + timedelta(hours=1),
    )
    story.say(DEVOPS, COORDINATOR, plan, after=1.1)
    story.enter("planned")
    request = SecurityReviewRequest(
        jira_issue=KEY,
        scope=PLAN_SCOPE,
        resources=("aws_db_instance.production",),
        concerns=("encryption",),
        terraform=plan.terraform,
    )
    story.say(DEVOPS, SECURITY, request, after=0)
    story.say(DEVOPS, COORDINATOR, TaskProgress(step="in_review"))
    story.enter("in_review")
    _review(story, "plan", PLAN_CHECKS)


def _review(story: Story, phase: Any, checks: tuple[CheckResult, ...]) -> None:
    result = SecurityReviewResult(
        jira_issue=KEY, phase=phase, verdict="approved", findings=(), reviewed_digest=digest("c"), checks=checks
    )
    story.say(SECURITY, COORDINATOR, result, after=0.3)
    story.say(SECURITY, DEVOPS, result, after=0)


def _apply(story: Story, environment: Environment, letter: str, *, approver: str) -> None:
    spec = SPEC if environment is SPEC.environment else SPEC.rehearsal()
    order = InfrastructureApply(
        jira_issue=KEY,
        environment=environment,
        spec=spec,
        plan_digest=digest(letter),
        revision=digest("c"),
        terraform="s3://terraform-state/revisions/cccccccccccc",
        approval_id=derived_id("approval", environment),
        approved_by=approver,
        approval_expires_at=story.now + timedelta(minutes=30),
    )
    applied = InfrastructureApplied(
        jira_issue=KEY,
        environment=environment,
        plan_digest=digest(letter),
        state_serial=1,
        outputs_ref="s3://terraform-state/outputs",
        engine="aws-direct",
        resources=(AppliedResource(address="aws_db_instance.production", id="arn:aws:rds:1", properties={}),),
    )
    story.ask(order, applied, after=1.6)
    story.enter("applied" if environment is SPEC.environment else "applied_test")
    story.ask(
        VerificationRequest(jira_issue=KEY, environment=environment, spec=spec),
        VerificationResult(jira_issue=KEY, environment=environment, verdict=CheckVerdict.PASS, checks=PROPERTY_CHECKS),
    )


def _decide(story: Story) -> None:
    story.enter("approved_test")
    story.approve("test", "b", Environment.TEST, approver="policy:non-production", waited=0)
    _apply(story, Environment.TEST, "b", approver="policy:non-production")
    story.enter("verified_test")
    approval = derived_id("approval", "production")
    subject = ApprovalSubject.PLAN
    request = ApprovalRequest(
        approval_id=approval,
        jira_issue=KEY,
        subject=subject,
        digest=digest("a"),
        environment=SPEC.environment,
        risk=Risk.HIGH,
        summary="Apply the plan",
        author="reporter",
        expires_at=story.now + timedelta(minutes=30),
    )
    story.say(COORDINATOR, CONSOLE, request, after=0)
    own = ApprovalGranted(approval_id=approval, subject=subject, digest=digest("a"), approver="reporter")
    story.say(CONSOLE, COORDINATOR, own, after=1)
    story.note("approval_refused", approval=approval, approver="reporter", code="own_change", digest=digest("a"))
    refusal = ApprovalRefused(
        approval_id=approval, approver="reporter", code="own_change", reason="reporter asked for this change"
    )
    story.say(COORDINATOR, CONSOLE, refusal, after=0)
    story.say(CONSOLE, COORDINATOR, own.model_copy(update={"approver": "minsu"}), after=2)
    story.approve("production", "a", SPEC.environment, approver="minsu", waited=3)
    story.enter("approved")
    _apply(story, SPEC.environment, "a", approver="minsu")
    story.enter("verified")


def _settle(story: Story) -> None:
    story.ask(
        MonitoringRequest(jira_issue=KEY, spec=SPEC),
        MonitoringConfigured(
            jira_issue=KEY,
            alarms=("prod-db-postgresql-cpu", "prod-db-postgresql-storage"),
            dashboard_uid="prod-db-postgresql",
            proof=(check("K19", "Alert rules", "a synthetic alarm reached #ops"),),
        ),
    )
    story.enter("monitored")
    estimate = next(e.payload for e in story.envelopes if isinstance(e.payload, CostEstimateReady))
    story.ask(
        DocumentationRequest(
            jira_issue=KEY, spec=SPEC, estimate=estimate, plan_digest=digest("a"), approved_by="minsu", alarms=()
        ),
        DocumentationPublished(jira_issue=KEY, page_url="s3://docs/prod-db-postgresql", version=1),
    )
    story.enter("documented")
    story.say(
        COORDINATOR, DEVOPS, HandoffRequest(jira_issue=KEY, spec=SPEC, revision=digest("c"), terraform="s3://code")
    )
    story.enter("handed_off")


def _hand_over(story: Story) -> None:
    ready = InfrastructureReady(
        jira_issue=KEY,
        resource="RDS PostgreSQL",
        environment=SPEC.environment,
        connection=CONNECTION,
        configuration=PoolConfiguration(max_connections=100, connection_timeout="30s", idle_timeout="10m"),
    )
    environment = DeploymentEnvironmentReady(
        jira_issue=KEY,
        environment=SPEC.environment,
        cluster="prod-cluster",
        namespace="prod",
        resources=EnvironmentResources(cpu="4", memory="8Gi", replicas=3),
        secrets=("database-credentials",),
        monitoring=ConfigurationMonitoring(prometheus_url="prometheus.prod", grafana_dashboard="prod-overview"),
    )
    review = SecurityReviewRequest(
        jira_issue=KEY, scope=RESOURCES_SCOPE, resources=("RDS",), concerns=("TLS",), terraform="s3://code"
    )
    target = ConnectivityTarget(engine="postgres", connection=CONNECTION, require_tls=True)
    story.say(DEVOPS, BACKEND, ready)
    story.say(DEVOPS, SECURITY, review, after=0)
    story.say(DEVOPS, QA, ConnectivityTestRequest(jira_issue=KEY, target=target), after=0)
    story.say(DEVOPS, DEPLOY, environment, after=0)
    acknowledged = InfrastructureAcknowledged(accepted=True, config_version="v1", pool_size=20)
    story.say(BACKEND, DEVOPS, acknowledged)
    _review(story, "resources", REAL_CHECKS)
    tested = ConnectivityTestResult(jira_issue=KEY, verdict=CheckVerdict.PASS, checks=PROBE_CHECKS)
    story.say(QA, DEVOPS, tested)
    story.say(DEPLOY, DEVOPS, DeploymentEnvironmentAcknowledged(accepted=True, missing=()))
    for peer, handoff, checks in (
        (BACKEND, "infrastructure_ready", ()),
        (SECURITY, "security_review_request", REAL_CHECKS),
        (QA, "connectivity_test_request", PROBE_CHECKS),
        (DEPLOY, "deployment_environment_ready", ()),
    ):
        result = HandoffResult(peer=peer, handoff=handoff, outcome="accepted", reason="looked at", checks=checks)
        story.say(DEVOPS, COORDINATOR, result, after=0.1)


def _conclude(story: Story) -> None:
    story.enter("accepted")
    reason = "accepted by backend-agent, security-agent, qa-agent, deploy-agent"
    story.ask(
        TicketCloseRequest(jira_issue=KEY, outcome=ChangeOutcome.ACCEPTED, reason=reason),
        TicketClosed(jira_issue=KEY, status="Done", comment_id="10001", attachments=("plan.txt", "architecture.png")),
    )
    story.enter("done")
    conclusion = ChangeConcluded(jira_issue=KEY, outcome=ChangeOutcome.ACCEPTED, reason=reason)
    story.say(COORDINATOR, CONSOLE, conclusion, after=0)


@pytest.fixture
def story() -> Story:
    """PROJ-140 from the request to the acceptance, with one refused approval."""
    told = Story()
    for chapter in (_understand, _plan, _decide, _settle, _hand_over, _conclude):
        chapter(told)
    return told


@pytest.fixture
def presence() -> tuple[Envelope[Message], ...]:
    """What agents announce beside any change."""
    announced = AgentAnnounced(name=BACKEND, handles=("infrastructure_ready",), version="0.1.0")
    beat = AgentHeartbeat(name=BACKEND, waiting=0, working=1)
    return tuple(Envelope.wrap(payload, sender=BACKEND, receiver="all", sent_at=BEGAN) for payload in (announced, beat))


@pytest.fixture
def ticket() -> Ticket:
    """The issue after the change."""
    issue = Issue(
        key=KEY,
        project="PROJ",
        issue_type="Infrastructure",
        summary="프로덕션 데이터베이스 RDS 설정",
        description="",
        status="Done",
        comments=(Comment(id="10001", author="devops-agent", body="h2. Infrastructure Deployed", created=BEGAN),),
        attachments=("plan.txt", "architecture.png"),
    )
    moves = (("To Do", "In Progress"), ("In Progress", "Done"))
    history = [HistoryEntry(BEGAN, "devops-agent", "status", before, after) for before, after in moves]
    return Ticket.of(issue, history=history)


@pytest.fixture
def run(story: Story) -> Run:
    """The circumstances: every agent a process of its own."""
    return Run(
        started_at=BEGAN - timedelta(seconds=4),
        ended_at=story.now + timedelta(seconds=1),
        processes={name: 4000 + number for number, name in enumerate(TEAM)},
        broker=Broker(kind="private", version="RabbitMQ 4.1.0"),
        engine="aws-direct",
        sandbox=True,
        notes=("Failover between zones was not provoked.",),
    )


@pytest.fixture
def report(story: Story, ticket: Ticket, run: Run) -> Report:
    """The report of the story."""
    resources = {"DescribeDBInstances": {"DBInstanceIdentifier": SPEC.identifier, "MultiAZ": True}}
    return Report.build(
        story.envelopes,
        approvals=story.approvals,
        audit=story.audit,
        ticket=ticket,
        resources=resources,
        run=run,
    )
