"""Handing a finished resource over to the agents that use, check and test it."""

from __future__ import annotations

__all__ = [
    "PLAN_SCOPE",
    "RESOURCES_SCOPE",
    "ConfigurationMonitoring",
    "Connection",
    "ConnectivityTarget",
    "ConnectivityTestRequest",
    "ConnectivityTestResult",
    "DeploymentEnvironmentAcknowledged",
    "DeploymentEnvironmentReady",
    "EnvironmentResources",
    "Finding",
    "HandoffRequest",
    "HandoffResult",
    "InfrastructureAcknowledged",
    "InfrastructureReady",
    "PoolConfiguration",
    "SecurityReviewRequest",
    "SecurityReviewResult",
]

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.message import Effect, Reply, Request, Route, hours, minutes
from interlock.protocol.messages.task import TaskDeclined
from interlock.protocol.roles import BACKEND, COORDINATOR, DEPLOY, DEVOPS, QA, SECURITY
from interlock.protocol.shapes import KUBERNETES_NAME, KUBERNETES_QUANTITY
from interlock.protocol.values import (
    AgentName,
    CheckResult,
    CheckVerdict,
    Digest,
    Environment,
    HostName,
    Identifier,
    IssueKey,
    LongText,
    Port,
    ShortText,
    Value,
    WireDuration,
)


class Connection(Value):
    """Where a database listens, and which secret to read; never the secret itself."""

    secret_name: Identifier
    secret_manager: ShortText
    endpoint: HostName
    port: Port
    database: Identifier


class PoolConfiguration(Value):
    """Limits that a connection pool has to respect."""

    max_connections: Annotated[int, Field(ge=1, le=1_000_000)]
    connection_timeout: WireDuration
    idle_timeout: WireDuration


class InfrastructureAcknowledged(Reply, type="infrastructure_acknowledged", route=Route.of(BACKEND, DEVOPS)):
    """The backend uses the resource from this configuration version on."""

    accepted: bool
    config_version: ShortText
    pool_size: Annotated[int, Field(ge=1)]
    checks: tuple[CheckResult, ...] = ()


class InfrastructureReady(
    Request,
    type="infrastructure_ready",
    route=Route.of(DEVOPS, BACKEND),
    effect=Effect.REVERSIBLE,
    replies=(InfrastructureAcknowledged, TaskDeclined),
    deadline=minutes(30),
):
    """A verified resource is handed to the agent that will use it (X1).

    Sent only after the post-apply checks have passed; the receiver acknowledges, or declines with a reason.
    """

    jira_issue: IssueKey
    resource: ShortText
    environment: Environment
    connection: Connection
    configuration: PoolConfiguration


KubernetesQuantity = Annotated[str, StringConstraints(pattern=KUBERNETES_QUANTITY)]


class EnvironmentResources(Value):
    """What the namespace's quota has to leave room for."""

    cpu: KubernetesQuantity
    memory: KubernetesQuantity
    replicas: Annotated[int, Field(ge=1, le=1000)]


class ConfigurationMonitoring(Value):
    """Where the environment is observed."""

    prometheus_url: ShortText
    grafana_dashboard: ShortText


class DeploymentEnvironmentAcknowledged(
    Reply, type="deployment_environment_acknowledged", route=Route.of(DEPLOY, DEVOPS)
):
    """The deploy agent has looked for itself, and found the environment complete or not."""

    accepted: bool
    missing: tuple[ShortText, ...]
    checks: tuple[CheckResult, ...] = ()


KubernetesName = Annotated[str, StringConstraints(pattern=KUBERNETES_NAME)]


class DeploymentEnvironmentReady(
    Request,
    type="deployment_environment_ready",
    route=Route.of(DEVOPS, DEPLOY),
    replies=(DeploymentEnvironmentAcknowledged, TaskDeclined),
    deadline=minutes(30),
):
    """An environment can be deployed to (X2). Namespace, quota and secrets were proven to exist before it was sent."""

    jira_issue: IssueKey
    environment: Environment
    cluster: Identifier
    namespace: KubernetesName
    resources: EnvironmentResources
    secrets: tuple[KubernetesName, ...]
    monitoring: ConfigurationMonitoring


class Finding(Value):
    """One thing that a review found wrong."""

    check: Identifier
    severity: Literal["low", "medium", "high", "critical"]
    text: ShortText


class SecurityReviewResult(Reply, type="security_review_result", route=Route.of(SECURITY, (DEVOPS, COORDINATOR))):
    """The verdict on exactly what was reviewed."""

    jira_issue: IssueKey
    phase: Literal["plan", "resources"]
    """`plan`: before anything is applied; `resources`: the real ones, after it."""
    verdict: Literal["approved", "rejected"]
    findings: tuple[Finding, ...]
    waivers: tuple[ShortText, ...] = ()
    reviewed_digest: Digest
    """Of the plan as the reviewer read it, for `plan`; of the evidence, for `resources`."""
    checks: tuple[CheckResult, ...] = ()


PLAN_SCOPE = "Infrastructure plan before it is applied"
"""Scope of a review of code and plan; any other scope also asks for a look at the real resources."""

RESOURCES_SCOPE = "Infrastructure security configuration"
"""Scope of a review of the real resources, in the specification's words."""


class SecurityReviewRequest(
    Request,
    type="security_review_request",
    route=Route.of(DEVOPS, SECURITY),
    replies=(SecurityReviewResult, TaskDeclined),
    deadline=hours(4),
):
    """Review a plan, or the real resources after it was applied (X3)."""

    jira_issue: IssueKey
    scope: ShortText
    resources: tuple[ShortText, ...]
    concerns: tuple[ShortText, ...]
    terraform: ShortText
    """Address of the revision under review. The team itself only ever sends immutable, content-addressed ones."""


class ConnectivityTarget(Value):
    """What to connect to, and what must be found there."""

    engine: Identifier
    connection: Connection
    require_tls: bool


class ConnectivityTestResult(Reply, type="connectivity_test_result", route=Route.of(QA, DEVOPS)):
    """What was proven level by level: reachable, greeting, TLS, login, query."""

    jira_issue: IssueKey
    verdict: CheckVerdict
    checks: tuple[CheckResult, ...]


class ConnectivityTestRequest(
    Request,
    type="connectivity_test_request",
    route=Route.of(DEVOPS, QA),
    replies=(ConnectivityTestResult, TaskDeclined),
    deadline=minutes(30),
):
    """Test that the resource answers with the credentials from its secret."""

    jira_issue: IssueKey
    target: ConnectivityTarget


class HandoffResult(Reply, type="handoff_result", route=Route.of(DEVOPS, COORDINATOR)):
    """What one peer answered to its handoff."""

    peer: AgentName
    handoff: Identifier
    """The type of the message that was handed over."""
    outcome: Literal["accepted", "declined", "failed"]
    reason: LongText
    checks: tuple[CheckResult, ...] = ()


class HandoffRequest(
    Request,
    type="handoff_request",
    route=Route.of(COORDINATOR, DEVOPS),
    effect=Effect.REVERSIBLE,
    replies=(HandoffResult,),
    deadline=minutes(45),
):
    """Hand the verified resource to backend, security, QA and deploy agents; each answer is reported as one result."""

    jira_issue: IssueKey
    spec: DatabaseSpec
    revision: Digest
    terraform: ShortText
