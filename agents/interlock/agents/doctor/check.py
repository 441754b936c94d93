"""What every check of the doctor's offers; it knows no check."""

from __future__ import annotations

__all__ = ["Check"]

from collections.abc import Sequence
from typing import Protocol

from interlock.agents.doctor.finding import Finding
from interlock.agents.doctor.ward import Ward


class Check(Protocol):
    """Looks at one area and changes nothing. An error of ours that it raises becomes a finding: it could not look."""

    @property
    def area(self) -> str:
        """The heading that its findings stand under."""
        ...

    async def look(self, ward: Ward) -> Sequence[Finding]:
        """Return what was seen; it may be cancelled at any moment, when it takes too long."""
        ...
