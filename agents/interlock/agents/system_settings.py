"""What is said of the systems that the team works with: tickets, clouds, clusters, chats; it reaches none of them."""

from __future__ import annotations

__all__ = [
    "AlertSettings",
    "AwsSettings",
    "BackendSettings",
    "ChatSettings",
    "DeploymentSettings",
    "JiraSettings",
    "KubernetesSettings",
    "ProvisioningSettings",
    "QaSettings",
]

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class JiraSettings(_Section):
    """Where tickets are."""

    url: str = ""
    user: str = ""
    token: SecretStr = SecretStr("")
    cloud: bool = True
    """Jira Cloud rather than Data Center: they differ in accounts and in text formats."""


class AwsSettings(_Section):
    """Where infrastructure is; what is left empty follows the AWS SDK's own chain of sources."""

    region: str = "ap-northeast-2"
    endpoint_url: str | None = None
    """Of an emulator; None: AWS itself."""
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None


class KubernetesSettings(_Section):
    """How the cluster is reached: a server and a token, a kubeconfig, or else the service account of the pod."""

    kubeconfig: Path | None = None
    context: str | None = None
    server: str | None = None
    token: SecretStr | None = None


def _without_sign(webhooks: dict[str, SecretStr]) -> dict[str, SecretStr]:
    return {channel.removeprefix("#"): url for channel, url in webhooks.items()}


Webhooks: TypeAlias = Annotated[dict[str, SecretStr], AfterValidator(_without_sign)]


class ChatSettings(_Section):
    """Incoming webhooks; whoever knows one may write there, so they are secrets."""

    slack: Webhooks = Field(default_factory=dict[str, SecretStr])
    """By channel, e.g. `#deployments`; the sign may be left out."""
    slack_team: str | None = None
    """The id of the user group that failures mention."""
    discord: Webhooks = Field(default_factory=dict[str, SecretStr])
    """By channel, in the same way."""
    discord_role: str | None = None
    """The id of the role that failures mention."""


class DeploymentSettings(_Section):
    """The environment that applications are deployed to, as `deployment_environment_ready` hands it over."""

    cluster: str = "prod-k8s-cluster"
    namespace: str = "default"
    cpu: str = "2000m"
    memory: str = "4Gi"
    replicas: Annotated[int, Field(ge=1)] = 3
    secrets: tuple[str, ...] = ("database-credentials", "api-keys", "jwt-secret")
    """Names, never values."""
    prometheus_url: str = "https://prometheus.example.com"
    grafana_dashboard: str = "https://grafana.example.com/d/app-metrics"


class AlertSettings(_Section):
    """Who hears the alarms, and where it can be seen that they arrived."""

    protocol: Literal["http", "https", "email", "sqs"] = "https"
    endpoint: str | None = None
    """Subscribed to the alerts' topic; None: whoever is subscribed already."""
    receipts_url: str | None = None
    """A receiver that answers `GET <url>/received/<message id>`; None: arrival cannot be seen."""


class QaSettings(_Section):
    """How databases are tested."""

    ca_file: Path | None = None
    """PEM file of the authority that databases' certificates are issued by; None: the system's."""


class BackendSettings(_Section):
    """What the backend needs of a database."""

    pool_size: Annotated[int, Field(ge=1)] = 20
    """Connections of one replica."""
    replicas: Annotated[int, Field(ge=1)] = 3


class ProvisioningSettings(_Section):
    """How infrastructure is applied."""

    engine: Literal["auto", "terraform", "aws-direct"] = "auto"
    """`auto`: Terraform where it is installed with a provider, else the AWS API directly."""
    artifact_bucket: str = "interlock-artifacts"
    state_bucket: str = "terraform-state"
    terraform_binary: Path | None = None
    """None: `terraform` on the path."""
