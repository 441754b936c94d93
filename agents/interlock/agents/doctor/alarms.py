"""Whether the broker's nodes run and take messages; it knows no queue."""

from __future__ import annotations

__all__ = ["AlarmsCheck"]

from collections.abc import Sequence

from interlock.agents.doctor.finding import Finding
from interlock.agents.doctor.ward import Ward

_ADVICE = {
    "memory": "publishers wait: start consumers that lag, give the node memory, or raise vm_memory_high_watermark",
    "disk": "publishers wait: free or add disk space at the node",
}


class AlarmsCheck:
    """Alarms and nodes, which only the management API shows."""

    area = "alarms"

    async def look(self, ward: Ward) -> Sequence[Finding]:
        """Ask the API."""
        management = ward.management
        if management is None:
            return [Finding.unknown("alarms", "AMQP does not tell", "set broker.management_url")]
        answer = await management.get("health", "checks", "alarms")
        findings = [
            Finding.failed(
                f"{alarm.get('resource', 'resource')} of {alarm.get('node', 'a node')}",
                "an alarm is raised",
                _ADVICE.get(str(alarm.get("resource")), "publishers wait: look at the node"),
            )
            for alarm in answer.get("alarms", ())
        ]
        if not findings:
            findings.append(
                Finding.ok("alarms", "none is raised")
                if answer.get("status") == "ok"
                else Finding.failed("alarms", str(answer.get("reason", "not ok")), "look at the node's log")
            )
        findings += [
            Finding.failed(node["name"], "the node is down", "start it; the others go on while most of them run")
            for node in await management.get("nodes")
            if not node.get("running")
        ]
        return findings
