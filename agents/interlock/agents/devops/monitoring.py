"""P9: alarms and dashboard for a database, and proof that an alert goes out."""

from __future__ import annotations

__all__ = ["Monitoring"]

from interlock.agents.context import Context
from interlock.agents.systems.aws.monitoring import AlertReceipts, DatabaseMonitoring
from interlock.protocol.messages.change import MonitoringConfigured, MonitoringRequest


class Monitoring:
    """Sets up what watches a database."""

    def __init__(self, monitoring: DatabaseMonitoring, *, receipts: AlertReceipts | None = None) -> None:
        self._monitoring = monitoring
        self._receipts = receipts

    async def configure(self, request: MonitoringRequest, context: Context) -> MonitoringConfigured:
        """Put alarms and dashboard in place, send one synthetic alert, and answer with what was proven."""

        async def effect() -> list[str]:
            setup = await self._monitoring.configure(request.spec)
            return [*setup.alarms, setup.dashboard]

        *alarms, dashboard = await context.once(
            "monitoring", effect, request=request.spec.model_dump(mode="json"), repeatable=True
        )
        proof = await self._monitoring.prove(request.spec, receipts=self._receipts)
        return MonitoringConfigured(
            jira_issue=request.jira_issue, alarms=tuple(alarms), dashboard_uid=dashboard, proof=proof
        )
