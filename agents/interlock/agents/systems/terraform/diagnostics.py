"""What Terraform says went wrong, as typed errors; it starts no process.

Source: Terraform's machine-readable UI (`terraform internals machine-readable-ui`), version 1.x of its format.
"""

from __future__ import annotations

__all__ = ["Diagnostic", "TerraformError", "diagnostics_of", "events_of"]

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from interlock.protocol.errors import PermanentError


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One complaint, without its detail: that may quote values."""

    severity: Literal["error", "warning"]
    summary: str
    file: str | None = None
    line: int | None = None
    address: str | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file else self.address
        return f"{self.summary} ({place})" if place else self.summary


class TerraformError(PermanentError):
    """Raised when a Terraform command fails for a reason that no repetition removes."""

    def __init__(self, command: str, directory: str, diagnostics: tuple[Diagnostic, ...]) -> None:
        self.command, self.directory, self.diagnostics = command, directory, diagnostics
        said = "; ".join(str(item) for item in diagnostics) or "it gave no reason; run the command there to see more"
        super().__init__(f"terraform {command} failed in {directory}: {said}")

    def says(self, summary: str) -> bool:
        """Return whether one of the complaints has this summary."""
        return any(summary in item.summary for item in self.diagnostics)


def events_of(output: bytes) -> tuple[Mapping[str, Any], ...]:
    """Return the events of a `-json` stream; lines that are not objects (a provider's own prints) are left out."""
    return tuple(event for line in output.splitlines() if (event := _object(line)) is not None)


def diagnostics_of(events: Iterable[Mapping[str, Any]]) -> tuple[Diagnostic, ...]:
    """Return the errors among events, in order; of `validate -json` pass its list of diagnostics."""
    bodies = (cast("Mapping[str, Any]", event.get("diagnostic", event)) for event in events)
    return tuple(_diagnostic(body) for body in bodies if body.get("severity") == "error" and "summary" in body)


def _diagnostic(body: Mapping[str, Any]) -> Diagnostic:
    place = body.get("range") or {}
    return Diagnostic(
        severity=body["severity"],
        summary=str(body["summary"]),
        file=place.get("filename"),
        line=place.get("start", {}).get("line"),
        address=body.get("address"),
    )


def _object(line: bytes) -> Mapping[str, Any] | None:
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return cast("Mapping[str, Any]", event) if isinstance(event, dict) else None
