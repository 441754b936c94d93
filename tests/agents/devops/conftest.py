"""The devops agent's systems, each an emulator that the production client speaks to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp.test_utils import TestServer
from pydantic import SecretStr

from interlock.agents.devops.systems import DeploymentTarget, DevopsSystems
from interlock.agents.sandbox.aws import SandboxAws
from interlock.agents.sandbox.jira import jira_application, seed_issue
from interlock.agents.sandbox.jira_faults import FAULTS, Fault
from interlock.agents.sandbox.kubernetes import KubernetesApi
from interlock.agents.systems.aws import ArtifactStore, Aws, AwsDirectEngine
from interlock.agents.systems.aws.monitoring import DatabaseMonitoring
from interlock.agents.systems.jira import JiraClient
from interlock.agents.systems.kubernetes import Kubernetes, KubernetesSettings
from interlock.agents.systems.terraform import Terraform
from interlock.bus.clock import VirtualClock

ISSUE = "PROJ-140"
_TOKEN = "canary-token-5f1c"


@dataclass(frozen=True)
class Outside:
    """The systems, and how to make one of them fail."""

    systems: DevopsSystems
    jira_faults: list[Fault]


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    application = jira_application(clock=VirtualClock(), credentials={"devops-agent": _TOKEN}, users={"product-owner"})
    seed_issue(
        application,
        {"project": "PROJ", "issuetype": "Infrastructure", "summary": "A database", "description": ""},
        key=ISSUE,
        author="product-owner",
    )
    async with (
        SandboxAws() as sandbox,
        Aws(sandbox.settings) as aws,
        KubernetesApi(token=_TOKEN) as api,
        TestServer(application) as server,
    ):
        jira = JiraClient(str(server.make_url("/")), user="devops-agent", token=_TOKEN, cloud=False, timeout=5.0)
        kubernetes = await Kubernetes.connect(KubernetesSettings(server=api.url, token=SecretStr(_TOKEN)))
        artifacts = ArtifactStore(aws, bucket="interlock-artifacts")
        await artifacts.ensure()
        systems = DevopsSystems(
            jira=jira,
            aws=aws,
            engine=AwsDirectEngine(aws, available_within=5.0, poll_interval=0.01),
            artifacts=artifacts,
            kubernetes=kubernetes,
            chats=(),
            terraform=Terraform(),
            monitoring=DatabaseMonitoring(aws),
            receipts=None,
            target=DeploymentTarget(),
        )
        try:
            yield Outside(systems, application[FAULTS])
        finally:
            await jira.aclose()
            await kubernetes.aclose()
