"""Builds agents by name with the live clients that the settings describe; the one place that knows them all.

Each is imported by the method that needs it.
"""

from __future__ import annotations

__all__ = ["build_agents"]

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from interlock.agents.agent import Agent
from interlock.agents.settings import Settings
from interlock.protocol.errors import UsageError
from interlock.protocol.roles import BACKEND, COORDINATOR, DEPLOY, DEVOPS, QA, SECURITY

if TYPE_CHECKING:  # an agent's process imports the clients of its own systems: all of them cost a second and 100 MiB
    from interlock.agents.systems.aws.artifacts import ArtifactStore
    from interlock.agents.systems.aws.session import Aws
    from interlock.agents.systems.kubernetes import Kubernetes
    from interlock.agents.systems.notification import ChatPort
    from interlock.agents.systems.provisioning import ProvisioningEngine
    from interlock.agents.systems.terraform.cli import Terraform

_log = logging.getLogger(__name__)


@asynccontextmanager
async def build_agents(settings: Settings, names: Sequence[str]) -> AsyncGenerator[tuple[Agent, ...]]:
    """Build these agents of the team; their clients are open while the context is.

    Raises UsageError for an unknown name, or a section of the settings that is missing.
    """
    async with AsyncExitStack() as stack:
        workshop = _Workshop(settings, stack)
        yield tuple([await workshop.build(name) for name in names])


class _Workshop:
    """Opens each client at most once."""

    def __init__(self, settings: Settings, stack: AsyncExitStack) -> None:
        self._settings = settings
        self._stack = stack
        self._aws: Aws | None = None

    async def build(self, name: str) -> Agent:
        builders: dict[str, Callable[[], Awaitable[Agent]]] = {
            COORDINATOR: self._coordinator,
            DEVOPS: self._devops,
            BACKEND: self._backend,
            SECURITY: self._security,
            QA: self._qa,
            DEPLOY: self._deploy,
        }
        if name not in builders:
            raise UsageError(f"there is no agent {name!r}; the team is {', '.join(builders)}")
        try:
            return await builders[name]()
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] == "interlock":
                raise
            raise UsageError(f"{name} needs {error.name}: install interlock[devops]") from error

    async def _coordinator(self) -> Agent:
        from interlock.agents.coordinator import coordinator

        return coordinator()

    async def _devops(self) -> Agent:
        from interlock.agents.devops.agent import devops_agent
        from interlock.agents.devops.systems import DeploymentTarget, DevopsSystems
        from interlock.agents.systems.alert_receipts import HttpAlertReceipts
        from interlock.agents.systems.aws.monitoring import DatabaseMonitoring, Subscription
        from interlock.agents.systems.jira.client import JiraClient
        from interlock.agents.systems.terraform.cli import Terraform

        settings, aws = self._settings, await self._open_aws()
        if not settings.jira.url:
            raise UsageError("jira.url is not set: say in interlock.toml, or INTERLOCK_JIRA__URL, where tickets are")
        jira = JiraClient(
            settings.jira.url,
            user=settings.jira.user or None,
            token=settings.jira.token.get_secret_value(),
            cloud=settings.jira.cloud,
        )
        self._stack.push_async_callback(jira.aclose)
        terraform = Terraform(str(settings.provisioning.terraform_binary or "terraform"))
        artifacts = await self._artifacts(aws)
        alerts = settings.alerts
        subscriptions = (Subscription(alerts.protocol, alerts.endpoint),) if alerts.endpoint else ()
        deployment = settings.deployment
        systems = DevopsSystems(
            jira=jira,
            aws=aws,
            engine=self._engine(aws, terraform),
            artifacts=artifacts,
            kubernetes=await self._kubernetes(),
            chats=self._chats(),
            terraform=terraform,
            monitoring=DatabaseMonitoring(aws, subscriptions=subscriptions),
            receipts=HttpAlertReceipts(alerts.receipts_url) if alerts.receipts_url else None,
            target=DeploymentTarget(
                cluster=deployment.cluster,
                namespace=deployment.namespace,
                cpu=deployment.cpu,
                memory=deployment.memory,
                replicas=deployment.replicas,
                secrets=tuple(deployment.secrets),
                prometheus_url=deployment.prometheus_url,
                grafana_dashboard=deployment.grafana_dashboard,
            ),
        )
        return devops_agent(systems)

    async def _backend(self) -> Agent:
        from interlock.agents.backend import PoolSettings, backend_agent
        from interlock.agents.backend.configuration import ConfigurationStore
        from interlock.agents.systems.aws.secrets import SecretStore

        pool = self._settings.backend
        configuration = ConfigurationStore(self._settings.state_dir / "backend-configuration")
        secrets = SecretStore(await self._open_aws())
        return backend_agent(secrets, configuration, PoolSettings(size=pool.pool_size, replicas=pool.replicas))

    async def _security(self) -> Agent:
        from interlock.agents.security import security_agent

        aws = await self._open_aws()
        return security_agent(await self._artifacts(aws), aws)

    async def _qa(self) -> Agent:
        from interlock.agents.qa import qa_agent
        from interlock.agents.systems.aws.secrets import SecretStore

        return qa_agent(SecretStore(await self._open_aws()), ca_file=self._settings.qa.ca_file)

    async def _deploy(self) -> Agent:
        from interlock.agents.deploy import deploy_agent

        return deploy_agent(await self._kubernetes())

    async def _open_aws(self) -> Aws:
        from interlock.agents.systems.aws.session import Aws, AwsSettings

        if self._aws is None:
            section = self._settings.aws
            self._aws = await self._stack.enter_async_context(
                Aws(
                    AwsSettings(
                        region=section.region,
                        endpoint_url=section.endpoint_url,
                        access_key_id=section.access_key_id,
                        secret_access_key=section.secret_access_key,
                    )
                )
            )
        return self._aws

    async def _artifacts(self, aws: Aws) -> ArtifactStore:
        from interlock.agents.systems.aws.artifacts import ArtifactStore

        store = ArtifactStore(aws, bucket=self._settings.provisioning.artifact_bucket)
        await store.ensure()
        return store

    async def _kubernetes(self) -> Kubernetes:
        from interlock.agents.systems.kubernetes import Kubernetes, KubernetesSettings

        section = self._settings.kubernetes
        cluster = await Kubernetes.connect(
            KubernetesSettings(
                server=section.server,
                token=section.token,
                kubeconfig=section.kubeconfig,
                context=section.context,
            )
        )
        self._stack.push_async_callback(cluster.aclose)
        return cluster

    def _chats(self) -> tuple[ChatPort, ...]:
        from interlock.agents.systems.discord import DiscordClient
        from interlock.agents.systems.slack import SlackClient

        section = self._settings.chat
        chats: list[ChatPort] = []
        if section.slack:
            webhooks = {channel: url.get_secret_value() for channel, url in section.slack.items()}
            chats.append(SlackClient(webhooks, team_group=section.slack_team or ""))
        if section.discord:
            webhooks = {channel: url.get_secret_value() for channel, url in section.discord.items()}
            chats.append(DiscordClient(webhooks, team_role=section.discord_role or ""))
        for chat in chats:
            self._stack.push_async_callback(chat.aclose)
        return tuple(chats)

    def _engine(self, aws: Aws, terraform: Terraform) -> ProvisioningEngine:
        """Choose what applies plans. An emulated AWS is no provider's endpoint: there `auto` is the direct engine."""
        from interlock.agents.systems.automatic_engine import AutomaticEngine
        from interlock.agents.systems.aws.engine import AwsDirectEngine
        from interlock.agents.systems.terraform.engine import TerraformEngine
        from interlock.agents.systems.terraform.rendering import render

        choice, emulated = self._settings.provisioning.engine, self._settings.aws.endpoint_url is not None
        direct = AwsDirectEngine(aws, poll_interval=0.2 if emulated else 15.0)
        render_code = partial(render, state_bucket=self._settings.provisioning.state_bucket)
        through_terraform = TerraformEngine(
            terraform, directory=self._settings.state_dir / "terraform", render=render_code
        )
        if choice == "terraform":
            return through_terraform
        if choice == "aws-direct" or emulated or not terraform.available():
            return direct
        return AutomaticEngine(through_terraform, direct)
