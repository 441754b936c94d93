"""The deploy agent: looks for itself whether an environment can be deployed to."""

from __future__ import annotations

__all__ = ["deploy_agent"]

from decimal import Decimal

from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.systems.kubernetes import KubernetesPort, parse_quantity
from interlock.protocol.messages.handoff import DeploymentEnvironmentAcknowledged, DeploymentEnvironmentReady
from interlock.protocol.roles import DEPLOY
from interlock.protocol.values import CheckResult, CheckVerdict


def deploy_agent(kubernetes: KubernetesPort) -> Agent:
    """Return the deploy agent."""
    agent = Agent(DEPLOY)

    @agent.on
    async def prove_environment(
        ready: DeploymentEnvironmentReady, _context: Context
    ) -> DeploymentEnvironmentAcknowledged:
        """Acknowledge a complete environment, or list what is missing."""
        checks = [await _namespace(kubernetes, ready)]
        if checks[0].verdict is CheckVerdict.PASS:
            checks.append(await _quota(kubernetes, ready))
            checks += [await _secret(kubernetes, ready, name) for name in ready.secrets]
        missing = tuple(check.title for check in checks if check.verdict is not CheckVerdict.PASS)
        return DeploymentEnvironmentAcknowledged(accepted=not missing, missing=missing, checks=tuple(checks))

    return agent


async def _namespace(kubernetes: KubernetesPort, ready: DeploymentEnvironmentReady) -> CheckResult:
    found = await kubernetes.namespace(ready.namespace)
    return _check("namespace", f"Namespace {ready.namespace}", found is not None, "read from the API server")


async def _quota(kubernetes: KubernetesPort, ready: DeploymentEnvironmentReady) -> CheckResult:
    quota = await kubernetes.quota(ready.namespace)
    title = f"Quota for {ready.resources.replicas} replicas"
    if quota is None:
        return _check("quota", title, False, "the namespace has no resource quota")
    needed = {
        "limits.cpu": parse_quantity(ready.resources.cpu) * ready.resources.replicas,
        "limits.memory": parse_quantity(ready.resources.memory) * ready.resources.replicas,
        "pods": Decimal(ready.resources.replicas),
    }
    lacking = [
        f"{name}: {needed[name]} needed, {quota.hard[name]} allowed, {quota.used.get(name, 0)} used"
        for name in needed
        if name in quota.hard and quota.hard[name] - quota.used.get(name, 0) < needed[name]
    ]
    limits = ", ".join(f"{name} {value}" for name, value in sorted(quota.hard.items()))
    return _check("quota", title, not lacking, "; ".join(lacking) or f"hard limits: {limits}")


async def _secret(kubernetes: KubernetesPort, ready: DeploymentEnvironmentReady, name: str) -> CheckResult:
    keys = await kubernetes.secret_keys(ready.namespace, name)
    evidence = f"holds {len(keys)} keys" if keys else "missing or empty"
    return _check(f"secret-{name}", f"Secret {name}", bool(keys), evidence)


def _check(identifier: str, title: str, holds: bool, evidence: str) -> CheckResult:
    verdict = CheckVerdict.PASS if holds else CheckVerdict.FAIL
    return CheckResult(id=identifier, title=title, verdict=verdict, evidence=evidence[:500])
