"""What it costs a month, against what was allowed."""

from __future__ import annotations

__all__ = ["cost"]

from decimal import Decimal

from interlock.agents.report.markup import Markup, element
from interlock.agents.report.report import Report
from interlock.agents.report.sections.layout import empty, section, table
from interlock.protocol.messages.change import CostEstimateReady


def cost(report: Report) -> Markup:
    """The estimate line by line; what has no price is listed, never counted as nothing."""
    estimate = report.estimate
    if estimate is None:
        return section("cost", "Cost", empty("Nothing was estimated."))
    rows = [
        (
            line.item,
            f"{line.quantity.normalize():f}",
            line.unit,
            f"{line.unit_price.normalize():f}",
            f"{line.monthly:.2f}",
        )
        for line in estimate.line_items
    ]
    total = element("strong", f"{estimate.monthly:.2f}")
    rows_with_sum = [*rows, (element("strong", f"Sum of the priced lines, {estimate.currency}"), "", "", "", total)]
    headings = ("Item", "Quantity", "Unit", "Unit price", f"{estimate.currency} a month")
    return section(
        "cost",
        "Cost",
        _meter(estimate),
        table(headings, rows_with_sum, numeric=(1, 3, 4)),
        _unpriced(estimate),
        element("p", f"Prices: {estimate.source}", class_="empty"),
        lead=_lead(estimate),
    )


def _lead(estimate: CostEstimateReady) -> str:
    spent = f"{estimate.monthly:.2f} {estimate.currency} a month"
    if estimate.budget is None:
        return f"{spent}; the ticket names no budget."
    allowed = f"{estimate.budget.monthly:.2f} {estimate.budget.currency}"
    return f"{spent}, {'over' if estimate.over_budget else 'within'} the budget of {allowed}."


def _meter(estimate: CostEstimateReady) -> Markup | None:
    budget = estimate.budget
    if budget is None or budget.currency != estimate.currency:
        return None
    scale = max(estimate.monthly, budget.monthly, Decimal("0.01")) * Decimal("1.08")
    spent, limit = 100 * estimate.monthly / scale, 100 * budget.monthly / scale
    return element(
        "div",
        element("i", style=f"width:{spent:.2f}%"),
        element("b", style=f"left:{limit:.2f}%", title=f"budget {budget.monthly} {budget.currency}"),
        class_="meter over" if estimate.over_budget else "meter",
    )


def _unpriced(estimate: CostEstimateReady) -> Markup | None:
    if not estimate.unpriced:
        return None
    items = (element("li", item) for item in estimate.unpriced)
    return element(
        "div", element("p", "Not in the sum, for want of a price:"), element("ul", *items), class_="unpriced"
    )
