"""P3: what a specification costs a month, itemised, against what the ticket allows."""

from __future__ import annotations

__all__ = ["Costing"]

from interlock.agents.context import Context
from interlock.agents.systems.pricing import estimate
from interlock.agents.systems.provisioning import digest_of
from interlock.protocol.messages.change import CostEstimateReady, InfrastructureRequest


class Costing:
    """Estimates; it needs no outside system, the price table is dated and says so."""

    async def estimate(self, request: InfrastructureRequest, _context: Context) -> CostEstimateReady:
        """Answer with the estimate.

        A budget that cannot be compared counts as exceeded: one in another currency, or when the price of a part is
        unknown.
        """
        result = estimate(request.spec)
        budget = request.budget
        over = budget is not None and (
            not result.complete or budget.currency != result.currency or result.monthly > budget.monthly
        )
        content = [request.spec.model_dump_json(), str(result.monthly), result.currency, result.source]
        return CostEstimateReady(
            jira_issue=request.jira_issue,
            monthly=result.monthly,
            currency=result.currency,
            line_items=result.line_items,
            unpriced=result.unpriced,
            source=result.source,
            budget=budget,
            over_budget=over,
            digest=digest_of("\n".join(content).encode()),
        )
