"""P10: the page that links everything about a database, updated in place when it is written again."""

from __future__ import annotations

__all__ = ["Documentation"]

from html import escape

from interlock.agents.context import Context
from interlock.agents.systems.aws.artifacts import ArtifactStore
from interlock.protocol.messages.change import DocumentationPublished, DocumentationRequest


class Documentation:
    """Writes pages into the artifact store."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts

    async def publish(self, request: DocumentationRequest, context: Context) -> DocumentationPublished:
        """Write the page and answer with its address and version."""
        page = render(request).encode()

        async def effect() -> tuple[str, int]:
            return await self._artifacts.publish(_key(request), page, content_type="text/html; charset=utf-8")

        url, version = await context.once("documentation", effect, request=page.decode(), repeatable=True)
        return DocumentationPublished(jira_issue=request.jira_issue, page_url=url, version=version)


def _key(request: DocumentationRequest) -> str:
    return f"documentation/{request.spec.identifier}.html"


def render(request: DocumentationRequest) -> str:
    """Return the page as HTML; everything that came from a ticket is escaped."""
    spec, estimate = request.spec, request.estimate
    facts = {
        "Jira issue": request.jira_issue,
        "Identifier": spec.identifier,
        "Engine": f"{spec.engine.label} {spec.engine_version}",
        "Class": spec.instance_class,
        "Storage": f"{spec.storage_gb} GB {spec.storage_type}",
        "Multi-AZ": "yes" if spec.multi_az else "no",
        "Backups": f"{spec.backup_retention_days} days",
        "Region and VPC": f"{spec.region}, {spec.vpc}",
        "Security group": spec.security_group,
        "Credentials": f"AWS Secrets Manager: {spec.secret_name}",
        "Plan": request.plan_digest,
        "Approved by": request.approved_by,
        "Alarms": ", ".join(request.alarms),
        "Monthly cost": f"{estimate.monthly} {estimate.currency} ({estimate.source})",
        "Not in the cost": ", ".join(estimate.unpriced) or "nothing",
    }
    rows = "\n".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    title = escape(f"{spec.identifier}: {spec.engine.label} in {spec.environment}")
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>\n'
        f"<body><h1>{title}</h1>\n<table>\n{rows}\n</table></body></html>\n"
    )
