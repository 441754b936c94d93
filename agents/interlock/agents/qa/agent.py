"""The QA agent: connects to the endpoint that it is given, with the credentials from its secret."""

from __future__ import annotations

__all__ = ["qa_agent"]

from pathlib import Path

from interlock.agents.agent import Agent
from interlock.agents.context import Context
from interlock.agents.systems.aws.secrets import SecretStore
from interlock.agents.systems.database_probe import probe
from interlock.protocol.infrastructure import DatabaseEngine
from interlock.protocol.messages.handoff import ConnectivityTestRequest, ConnectivityTestResult
from interlock.protocol.messages.task import TaskDeclined
from interlock.protocol.roles import QA
from interlock.protocol.values import CheckVerdict


def qa_agent(secrets: SecretStore, *, ca_file: Path | None = None) -> Agent:
    """Return the QA agent; `ca_file` is the authority that databases' certificates are issued by."""
    agent = Agent(QA)

    @agent.on
    async def prove_connectivity(
        request: ConnectivityTestRequest, _context: Context
    ) -> ConnectivityTestResult | TaskDeclined:
        """Answer level by level: reachable, greeting, TLS, login, query. What was not proven is unknown."""
        target, connection = request.target, request.target.connection
        if target.engine not in set(DatabaseEngine):
            return TaskDeclined(code="unsupported", reason=f"no test is known for {target.engine}")
        credentials = await secrets.read(connection.secret_name)
        if credentials is None:
            return TaskDeclined(code="secret_missing", reason=f"secret {connection.secret_name} cannot be read")
        checks = await probe(
            engine=DatabaseEngine(target.engine),
            host=connection.endpoint,
            port=connection.port,
            database=connection.database,
            user=credentials.username,
            password=credentials.password,
            ca_file=ca_file,
            require_tls=target.require_tls,
        )
        verdicts = {check.verdict for check in checks}
        verdict = CheckVerdict.PASS if verdicts == {CheckVerdict.PASS} else CheckVerdict.UNKNOWN
        if CheckVerdict.FAIL in verdicts:
            verdict = CheckVerdict.FAIL
        return ConnectivityTestResult(jira_issue=request.jira_issue, verdict=verdict, checks=checks)

    return agent
