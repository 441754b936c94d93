"""The report as a folder of files, each complete or not there; it decides nothing about their content."""

from __future__ import annotations

__all__ = ["ReportFiles", "write"]

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interlock.agents.report.html import page
from interlock.agents.report.report import Report
from interlock.protocol import recording
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import UsageError

_MODE = 0o644


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where the report lies."""

    html: Path
    json: Path
    conversation: Path
    """One message per line, to be replayed."""
    diagram: Path | None
    """None when there was nothing to draw."""


def write(folder: Path, report: Report, *, envelopes: Sequence[Envelope[Any]], diagram: bytes | None) -> ReportFiles:
    """Write the four files, replacing those of an earlier report; the folder is made when it is missing.

    `report.json` is replaced last: who finds it new finds the others new as well. Raises UsageError when the folder
    cannot be written to.
    """
    html, json, conversation, picture = (
        folder / name for name in ("report.html", "report.json", "conversation.jsonl", "architecture.png")
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if diagram is None:
            picture.unlink(missing_ok=True)
        else:
            _replace(picture, diagram)
        _replace(conversation, recording.write(envelopes))
        _replace(html, page(report, envelopes=envelopes, diagram=diagram).encode())
        _replace(json, report.to_json().encode())
    except OSError as error:
        raise UsageError(
            f"the report of {report.jira_issue} cannot be written to {folder}: {error.strerror}; name another folder"
        ) from error
    return ReportFiles(html=html, json=json, conversation=conversation, diagram=None if diagram is None else picture)


def _replace(path: Path, content: bytes) -> None:
    """Write beside the file and rename: a reader sees the old content or the new, never a part."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    beside = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.chmod(_MODE)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
