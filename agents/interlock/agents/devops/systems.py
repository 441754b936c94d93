"""The outside systems that the devops agent works with, passed in by whoever starts it."""

from __future__ import annotations

__all__ = ["DeploymentTarget", "DevopsSystems"]

from dataclasses import dataclass

from interlock.agents.systems.aws.artifacts import ArtifactStore
from interlock.agents.systems.aws.monitoring import AlertReceipts, DatabaseMonitoring
from interlock.agents.systems.aws.session import Aws
from interlock.agents.systems.jira.port import JiraPort
from interlock.agents.systems.kubernetes import KubernetesPort
from interlock.agents.systems.notification import ChatPort
from interlock.agents.systems.provisioning import ProvisioningEngine
from interlock.agents.systems.terraform.cli import Terraform
from interlock.protocol.infrastructure import DatabaseSpec


@dataclass(frozen=True, slots=True)
class DeploymentTarget:
    """The environment that applications are deployed to, as X2 describes it."""

    cluster: str = "prod-k8s-cluster"
    namespace: str = "default"
    cpu: str = "2000m"
    memory: str = "4Gi"
    replicas: int = 3
    secrets: tuple[str, ...] = ("database-credentials", "api-keys", "jwt-secret")
    """What applications need there; the first is the one that holds production's database credentials."""
    prometheus_url: str = "https://prometheus.example.com"
    grafana_dashboard: str = "https://grafana.example.com/d/app-metrics"

    def database_secret(self, spec: DatabaseSpec) -> str:
        """Return the secret for a database's credentials: one of its own, but for the one production database.

        Another environment, or a second database, must never overwrite what production connects with.
        """
        return self.secrets[0] if spec.has_default_name and spec.is_production else f"{spec.identifier}-credentials"

    def secrets_with(self, spec: DatabaseSpec) -> tuple[str, ...]:
        """Return the names of the secrets that an application using this database needs."""
        return (self.database_secret(spec), *self.secrets[1:])


@dataclass(frozen=True, slots=True)
class DevopsSystems:
    """Everything that the devops agent may touch."""

    jira: JiraPort
    aws: Aws
    engine: ProvisioningEngine
    artifacts: ArtifactStore
    kubernetes: KubernetesPort
    chats: tuple[ChatPort, ...]
    """Every service in which people are told something."""
    terraform: Terraform
    monitoring: DatabaseMonitoring
    receipts: AlertReceipts | None
    """Sees the far end of the alert route; None where nothing can."""
    target: DeploymentTarget
