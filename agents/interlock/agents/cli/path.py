"""A change's way through its states, as lines for the terminal, for programs, and as a picture in a file."""

from __future__ import annotations

__all__ = ["document", "say", "write"]

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from interlock.agents.cli.output import Output
from interlock.agents.report.path_picture import Caption, png, svg
from interlock.agents.report.text import duration
from interlock.agents.workflow.path import Visit
from interlock.protocol.errors import UsageError


def say(output: Output, path: Sequence[Visit]) -> None:
    """Show each stay: when, where, how long, and what led there."""
    output.table(
        ("ENTERED", "STATE", "FOR", "BECAUSE OF"),
        [
            (
                visit.entered_at.astimezone().strftime("%Y-%m-%d %H:%M:%S"),
                visit.state if visit.time == 1 else f"{visit.state} ({visit.time})",
                "-" if visit.seconds is None else duration(visit.seconds),
                _cause(visit),
            )
            for visit in path
        ],
    )


def document(path: Sequence[Visit]) -> list[dict[str, Any]]:
    """Return the stays for programs."""
    return [
        {
            "state": visit.state,
            "enteredAt": visit.entered_at.isoformat(),
            "seconds": visit.seconds,
            "by": visit.by or None,
            "triggers": list(visit.triggers),
            "notTaken": list(visit.not_taken),
        }
        for visit in path
    ]


def write(file: Path, path: Sequence[Visit], caption: Caption) -> None:
    """Write the picture, as SVG or PNG by the file's ending. Raises UsageError when that cannot be done."""
    if not path:
        raise UsageError("there is no history to draw")
    match file.suffix.lower():
        case ".svg":
            content = svg(path, caption).encode()
        case ".png":
            try:
                content = png(path, caption)
            except ModuleNotFoundError as error:
                raise UsageError(f"a PNG needs {error.name}: install interlock[devops], or ask for .svg") from error
        case _:
            raise UsageError(f"{file}: a picture's name ends in .svg or .png")
    try:
        file.write_bytes(content)
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error


def _cause(visit: Visit) -> str:
    cause = " or ".join(visit.triggers) or "-"
    return f"{cause} from {visit.by}" if visit.by else cause
