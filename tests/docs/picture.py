"""The picture in the README, drawn by the product from a conversation that a run has left.

`python -m docs.picture build/report/conversation.jsonl > docs/images/handoffs.svg`, with `tests` on the import path.
Presence, progress and the steps between coordinator and devops agent that are alike are left out: it shows handoffs.
"""

from __future__ import annotations

__all__ = ["HANDOFFS", "picture"]

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interlock.agents.report.sequence import sequence
from interlock.protocol.envelope import Envelope
from interlock.protocol.recording import read

HANDOFFS = (
    "change_requested",
    "infrastructure_request",
    "plan_ready",
    "security_review_request",
    "security_review_result",
    "approval_request",
    "approval_granted",
    "infrastructure_apply",
    "infrastructure_applied",
    "infrastructure_ready",
    "infrastructure_acknowledged",
    "connectivity_test_request",
    "connectivity_test_result",
    "deployment_environment_ready",
    "deployment_environment_acknowledged",
    "change_concluded",
)
"""In the order in which they are drawn: each request with its answer, though peers work at the same time."""

_STYLE = """
svg { --card: #ffffff; --ink: #1f2328; --quiet: #656d76; --rule: #d8dbe0; --accent: #3157a4; --good: #1d7446;
      --bad: #b3261e; --accent-wash: #e9eef8; font-family: system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
@media (prefers-color-scheme: dark) {
  svg { --card: #0d1117; --ink: #e4e6e9; --quiet: #9aa2ab; --rule: #373e47; --accent: #8fb0ef; --good: #6cc994;
        --bad: #f28b82; --accent-wash: #1f2a40; }
}
.paper { fill: var(--card); stroke: var(--rule); }
.head { fill: var(--accent-wash); }
.name { fill: var(--ink); font-size: 12.5px; font-weight: 600; text-anchor: middle; }
.lifeline { stroke: var(--rule); stroke-width: 1.2; }
.shaft { stroke: var(--ink); stroke-width: 1.6; fill: none; }
.tip { fill: var(--ink); }
.reply .shaft { stroke: var(--good); stroke-dasharray: 6 4; }
.reply .tip { fill: var(--good); }
.event .shaft { stroke: var(--accent); stroke-dasharray: 2 4; }
.event .tip { fill: var(--accent); }
.trouble .shaft { stroke: var(--bad); }
.trouble .tip { fill: var(--bad); }
.label { fill: var(--ink); font-size: 12px; }
.detail { fill: var(--quiet); font-size: 10.5px; }
.label, .detail { text-anchor: middle; paint-order: stroke; stroke: var(--card); stroke-width: 4px; }
.offset { fill: var(--quiet); font-size: 11px; text-anchor: end; }
"""
_MARGIN = 10
_CROP = 40
"""What the report's gutter is wider than times alone need; all measures are SVG user units."""


def picture(envelopes: Sequence[Envelope[Any]]) -> str:
    """Return the handoffs of a conversation as one SVG document that follows the reader's colour scheme."""
    chosen: dict[tuple[str, str], Envelope[Any]] = {}
    for envelope in envelopes:
        if envelope.type in HANDOFFS and getattr(envelope.payload, "environment", "production") == "production":
            chosen[envelope.type, envelope.receiver] = envelope
    ordered = sorted(_first_review(chosen, envelopes), key=lambda envelope: HANDOFFS.index(envelope.type))
    heads, exchange = re.findall(r"<svg.*?</svg>", str(sequence(ordered)), flags=re.DOTALL)
    (width, top), (_, height) = _size(heads), _size(exchange)
    total = width - _CROP + 2 * _MARGIN, top + height + 2 * _MARGIN
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]:g} {total[1]:g}" width="{total[0]:g}" '
        f'height="{total[1]:g}" role="img" aria-label="The handoffs of one change, in order">\n'
        f"<style>{_STYLE}</style>\n"
        f'<rect class="paper" x="0.5" y="0.5" width="{total[0] - 1:g}" height="{total[1] - 1:g}" rx="12"/>\n'
        f"{_placed(heads, _MARGIN)}\n{_placed(exchange, _MARGIN + top)}\n</svg>\n"
    )


def _first_review(
    chosen: dict[tuple[str, str], Envelope[Any]], envelopes: Sequence[Envelope[Any]]
) -> list[Envelope[Any]]:
    """Show the review of the plan, which comes before anything is applied, and its answer to who asked for it."""
    kept = [envelope for (kind, _), envelope in chosen.items() if not kind.startswith("security_review")]
    request = next(envelope for envelope in envelopes if envelope.type == "security_review_request")
    results = (envelope for envelope in envelopes if envelope.type == "security_review_result")
    return [*kept, request, next(result for result in results if result.receiver == request.sender)]


def _size(drawing: str) -> tuple[float, float]:
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing)
    assert found is not None, "every drawing states its size"
    return float(found[1]), float(found[2])


def _placed(drawing: str, y: float) -> str:
    """Put a drawing below what is above it; links lead into the report, which is not here."""
    width, height = _size(drawing)
    place = f'<svg x="{_MARGIN}" y="{y:g}" width="{width - _CROP:g}" height="{height:g}"'
    drawing = drawing.replace("<svg", place, 1).replace('viewBox="0 0 ', f'viewBox="{_CROP} 0 ', 1)
    drawing = drawing.replace(f'viewBox="{_CROP} 0 {width:g}', f'viewBox="{_CROP} 0 {width - _CROP:g}', 1)
    return re.sub(r' (href|data-message)="[^"]*"', "", drawing).replace("<a ", "<g ").replace("</a>", "</g>")


if __name__ == "__main__":
    sys.stdout.write(picture(read(Path(sys.argv[1]).read_bytes())))
