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


@dataclass(frozen=True, slots=True)
class DeploymentTarget:
    """The environment that applications are deployed to, as X2 describes it."""

    cluster: str = "prod-k8s-cluster"
    namespace: str = "default"
    cpu: str = "2000m"
    memory: str = "4Gi"
    replicas: int = 3
    database_secret: str = "database-credentials"  # noqa: S105 - a secret's name
    secrets: tuple[str, ...] = ("database-credentials", "api-keys", "jwt-secret")
    prometheus_url: str = "https://prometheus.example.com"
    grafana_dashboard: str = "https://grafana.example.com/d/app-metrics"


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
