"""X1-X3 and the connectivity test: hands a verified resource to its peers, and reports what each answered."""

from __future__ import annotations

__all__ = ["HandingOver"]

from pydantic import SecretStr

from interlock.agents.agent import Answer, to
from interlock.agents.context import Context
from interlock.agents.devops.systems import DevopsSystems
from interlock.agents.systems.aws.alarms import max_connections
from interlock.agents.systems.aws.database import DatabaseInstance, describe_database
from interlock.agents.systems.aws.secrets import SecretStore
from interlock.agents.systems.kubernetes import parse_quantity
from interlock.protocol.errors import PermanentError
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.messages.handoff import (
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
from interlock.protocol.messages.task import DeadlineExceeded, MessageRejected, TaskDeclined, TaskFailed
from interlock.protocol.roles import BACKEND, COORDINATOR, DEPLOY, QA, SECURITY
from interlock.protocol.values import CheckResult, CheckVerdict

_HANDOFFS = {
    BACKEND: "infrastructure_ready",
    SECURITY: "security_review_request",
    QA: "connectivity_test_request",
    DEPLOY: "deployment_environment_ready",
}


class HandingOver:
    """Sends handoffs only for what exists, and passes each answer to the coordinator."""

    def __init__(self, systems: DevopsSystems) -> None:
        self._systems = systems

    async def hand_over(self, request: HandoffRequest, context: Context) -> tuple[Answer, ...]:
        """Prove that everything exists, then send the four handoffs together."""
        spec = request.spec
        instance = await self._serving(spec)
        await context.once(
            "environment", lambda: self._complete_environment(spec), request=spec.secret_name, repeatable=True
        )
        await context.progress("handed_off", to=COORDINATOR)
        connection = _connection(spec, instance)
        return (
            to(
                BACKEND,
                InfrastructureReady(
                    jira_issue=request.jira_issue,
                    resource=f"RDS {spec.engine.label}",
                    environment=spec.environment,
                    connection=connection,
                    configuration=PoolConfiguration(
                        max_connections=max_connections(spec), connection_timeout="30s", idle_timeout="600s"
                    ),
                ),
            ),
            to(
                SECURITY,
                SecurityReviewRequest(
                    jira_issue=request.jira_issue,
                    scope=RESOURCES_SCOPE,
                    resources=("RDS instance", "Security groups", "VPC configuration", "IAM roles and policies"),
                    concerns=("Verify no public access", "Check encryption configuration", "Review IAM permissions"),
                    terraform=request.terraform,
                ),
            ),
            to(
                QA,
                ConnectivityTestRequest(
                    jira_issue=request.jira_issue,
                    target=ConnectivityTarget(
                        engine=spec.engine, connection=connection, require_tls=spec.encryption_in_transit
                    ),
                ),
            ),
            to(DEPLOY, self._environment(request)),
        )

    async def connected(self, answer: InfrastructureAcknowledged, context: Context) -> Answer:
        """The backend's answer."""
        text = f"pool of {answer.pool_size}, configuration {answer.config_version}"
        return _result(context, accepted=answer.accepted, reason=text, checks=answer.checks)

    async def reviewed(self, answer: SecurityReviewResult, context: Context) -> Answer | None:
        """Security's answer about the real resources; its verdict on a plan goes to the coordinator directly."""
        if answer.phase == "plan":
            return None
        findings = "; ".join(f"{finding.check}: {finding.text}" for finding in answer.findings)
        accepted = answer.verdict == "approved"
        return _result(context, accepted=accepted, reason=findings or "no findings", checks=answer.checks)

    async def tested(self, answer: ConnectivityTestResult, context: Context) -> Answer:
        """QA's answer; what could not be proven is not accepted."""
        unproven = [f"{c.title}: {c.evidence}" for c in answer.checks if c.verdict is not CheckVerdict.PASS]
        accepted = answer.verdict is CheckVerdict.PASS
        return _result(
            context, accepted=accepted, reason="; ".join(unproven) or "all levels proven", checks=answer.checks
        )

    async def deployable(self, answer: DeploymentEnvironmentAcknowledged, context: Context) -> Answer:
        """The deploy agent's answer."""
        reason = f"missing: {', '.join(answer.missing)}" if answer.missing else "environment complete"
        return _result(context, accepted=answer.accepted, reason=reason, checks=answer.checks)

    async def not_taken(
        self, answer: TaskDeclined | TaskFailed | MessageRejected | DeadlineExceeded, context: Context
    ) -> Answer | None:
        """A peer that will not, could not, or found the handoff too late."""
        if context.sender not in _HANDOFFS:
            return None
        outcome = "declined" if isinstance(answer, TaskDeclined) else "failed"
        if isinstance(answer, DeadlineExceeded):
            reason = f"{answer.request_type} was not taken up before {answer.deadline.isoformat(timespec='seconds')}"
        else:
            reason = f"{answer.reason} ({answer.code})"
        return to(
            COORDINATOR,
            HandoffResult(
                peer=context.sender,
                handoff=_HANDOFFS[context.sender],
                outcome=outcome,
                reason=reason,
            ),
        )

    async def _serving(self, spec: DatabaseSpec) -> DatabaseInstance:
        instance = await describe_database(self._systems.aws, spec.identifier)
        if instance is None or instance.endpoint is None or instance.port is None:
            raise PermanentError(f"{spec.identifier} has no endpoint; it cannot be handed over")
        return instance

    async def _complete_environment(self, spec: DatabaseSpec) -> None:
        """Make the environment of X2 complete: namespace, quota, and the database's credentials as a secret."""
        kubernetes, target = self._systems.kubernetes, self._systems.target
        credentials = await SecretStore(self._systems.aws).read(spec.secret_name)
        if credentials is None:
            raise PermanentError(f"secret {spec.secret_name} does not exist; the environment cannot be completed")
        await kubernetes.ensure_namespace(target.namespace)
        hard = {
            "limits.cpu": _times(target.replicas, target.cpu),
            "limits.memory": _times(target.replicas, target.memory),
            "pods": str(target.replicas * 2),
        }
        await kubernetes.ensure_quota(target.namespace, hard=hard)
        data = {
            "username": SecretStr(credentials.username),
            "password": credentials.password,
            "database": SecretStr(credentials.dbname),
            "host": SecretStr(credentials.host or ""),
            "port": SecretStr(str(credentials.port or "")),
        }
        await kubernetes.ensure_secret(target.namespace, target.database_secret(spec), data=data)
        for name in target.secrets_with(spec):
            if await kubernetes.secret_keys(target.namespace, name) is None:
                raise PermanentError(f"secret {name} is missing in namespace {target.namespace}; create it first")

    def _environment(self, request: HandoffRequest) -> DeploymentEnvironmentReady:
        target = self._systems.target
        return DeploymentEnvironmentReady(
            jira_issue=request.jira_issue,
            environment=request.spec.environment,
            cluster=target.cluster,
            namespace=target.namespace,
            resources=EnvironmentResources(cpu=target.cpu, memory=target.memory, replicas=target.replicas),
            secrets=target.secrets_with(request.spec),
            monitoring=ConfigurationMonitoring(
                prometheus_url=target.prometheus_url, grafana_dashboard=target.grafana_dashboard
            ),
        )


def _times(replicas: int, quantity: str) -> str:
    """Return a Kubernetes quantity for all replicas, in base units."""
    return f"{(parse_quantity(quantity) * replicas).normalize():f}"


def _connection(spec: DatabaseSpec, instance: DatabaseInstance) -> Connection:
    assert instance.endpoint is not None
    assert instance.port is not None
    return Connection(
        secret_name=spec.secret_name,
        secret_manager="AWS Secrets Manager",  # noqa: S106 - the product's name
        endpoint=instance.endpoint,
        port=instance.port,
        database=spec.database_name,
    )


def _result(context: Context, *, accepted: bool, reason: str, checks: tuple[CheckResult, ...]) -> Answer:
    return to(
        COORDINATOR,
        HandoffResult(
            peer=context.sender,
            handoff=_HANDOFFS[context.sender],
            outcome="accepted" if accepted else "declined",
            reason=reason,
            checks=checks,
        ),
    )
