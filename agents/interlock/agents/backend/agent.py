"""The backend agent: takes a database's connection over, when its own connection pools fit."""

from __future__ import annotations

__all__ = ["PoolSettings", "backend_agent"]

from dataclasses import dataclass

from interlock.agents.agent import Agent
from interlock.agents.backend.configuration import ConfigurationStore
from interlock.agents.context import Context
from interlock.agents.systems.aws.secrets import SecretStore
from interlock.protocol.messages.handoff import InfrastructureAcknowledged, InfrastructureReady
from interlock.protocol.messages.task import TaskDeclined
from interlock.protocol.roles import BACKEND
from interlock.protocol.values import CheckResult, CheckVerdict


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How the backend connects; the sum over replicas must fit the database."""

    size: int = 20
    """Connections per replica."""
    replicas: int = 3


def backend_agent(secrets: SecretStore, configuration: ConfigurationStore, pool: PoolSettings) -> Agent:
    """Return the backend agent."""
    agent = Agent(BACKEND)

    @agent.on
    async def use_database(ready: InfrastructureReady, context: Context) -> InfrastructureAcknowledged | TaskDeclined:
        """Check pool and credentials, then switch to the new connection."""
        needed, allowed = pool.size * pool.replicas, ready.configuration.max_connections
        if needed > allowed:
            reason = f"{pool.size} connections x {pool.replicas} replicas are {needed}, {allowed} are allowed"
            return TaskDeclined(code="pool_too_large", reason=reason)
        connection = ready.connection
        credentials = await secrets.read(connection.secret_name)
        if credentials is None:
            return TaskDeclined(code="secret_missing", reason=f"secret {connection.secret_name} cannot be read")
        if (credentials.host, credentials.port) != (connection.endpoint, connection.port):
            reason = f"secret {connection.secret_name} is for another endpoint than {connection.endpoint}"
            return TaskDeclined(code="secret_mismatch", reason=reason)
        version = await context.once(
            "connection",
            lambda: configuration.switch(ready, pool_size=pool.size),
            request=ready.model_dump(mode="json"),
            repeatable=True,
        )
        checks = (
            CheckResult(
                id="K25",
                title="Connection pool fits the database",
                verdict=CheckVerdict.PASS,
                evidence=f"{pool.size} x {pool.replicas} = {needed} of {allowed} connections",
            ),
            CheckResult(
                id="secret-endpoint",
                title="Credentials belong to this endpoint",
                verdict=CheckVerdict.PASS,
                evidence=f"secret {connection.secret_name} names {connection.endpoint}:{connection.port}",
            ),
        )
        return InfrastructureAcknowledged(accepted=True, config_version=version, pool_size=pool.size, checks=checks)

    return agent
