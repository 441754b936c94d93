"""Whether the broker holds what it should; it compares nothing itself."""

from __future__ import annotations

__all__ = ["TopologyCheck"]

from collections.abc import Iterator, Sequence

from interlock.agents.doctor.finding import Finding
from interlock.agents.doctor.ward import Ward
from interlock.bus.rabbitmq.drift import Drift
from interlock.bus.rabbitmq.topology import Binding

_SHOW = "`interlock topology plan` shows it, `interlock topology apply` declares it"


class TopologyCheck:
    """The drift, one finding for each thing that is missing or different."""

    area = "topology"

    async def look(self, ward: Ward) -> Sequence[Finding]:
        """Compare."""
        drift = await ward.drift()
        findings = list(_findings(drift))
        if not findings:
            findings.append(Finding.ok("queues, exchanges", f"{len(drift.plan.queues)} queues are as they should be"))
        return findings + [Finding.unknown("the rest", sentence) for sentence in drift.unseen]


def _findings(drift: Drift) -> Iterator[Finding]:
    for item in drift.missing:
        name = f"binding of {item.queue}" if isinstance(item, Binding) else item.name
        yield Finding.failed(name, f"{_kind(item)} is missing, nothing arrives there", _SHOW)
    for change in drift.changes:
        yield Finding.warning(
            change.name,
            "; ".join(map(str, change.differences)),
            "`interlock topology plan` says how it is replaced; until then it works as it is",
        )
    for name in drift.interrupted:
        yield Finding.failed(name, "its replacement was interrupted", "`interlock topology apply --migrate` goes on")
    if drift.orphans:
        yield Finding.warning(
            "orphans",
            f"{len(drift.orphans)} queues, exchanges or bindings that nothing declares",
            "`interlock topology prune` shows and deletes them",
        )


def _kind(item: object) -> str:
    return type(item).__name__.lower()
