"""What was built, as a picture."""

from __future__ import annotations

__all__ = ["architecture"]

import base64

from interlock.agents.report.markup import Markup, element
from interlock.agents.report.sections.layout import section


def architecture(diagram: bytes | None) -> Markup | None:
    """The architecture diagram, a PNG that is embedded in the page."""
    if diagram is None:
        return None
    source = f"data:image/png;base64,{base64.b64encode(diagram).decode()}"
    picture = element("img", src=source, alt="Architecture of what the change set up")
    return section("architecture", "Architecture", element("figure", picture))
