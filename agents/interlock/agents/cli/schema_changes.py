"""What `interlock schemas` found, told to people and programs; it compares nothing itself."""

from __future__ import annotations

__all__ = ["Findings", "findings"]

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from interlock.agents.cli.output import Output
from interlock.protocol.catalogue import Catalogue
from interlock.protocol.compatibility import Change, changes_since
from interlock.protocol.contract import Contracts
from interlock.protocol.corpus import Unreadable, broken_by, unreadable
from interlock.protocol.discovery import installed_catalogue
from interlock.protocol.errors import UsageError
from interlock.protocol.releases import recordings as recordings_in

_SHOWN = 5
"""Recorded messages that are named below one change."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What changed, and which recorded messages are no longer read."""

    changes: tuple[Change, ...]
    failures: tuple[Unreadable, ...]
    against: tuple[str, ...]
    """The releases that were compared with."""
    recorded: int
    """How many recordings were read."""

    @classmethod
    def since(cls, releases: Sequence[Contracts], catalogue: Catalogue, *, recordings: Sequence[Path]) -> Findings:
        """Compare the code with releases and recordings."""
        changed = changes_since(releases, Contracts.of_catalogue(catalogue)) if releases else ()
        return findings(changed, recordings=recordings, against=tuple(release.name for release in releases))

    @property
    def breaks(self) -> tuple[Change, ...]:
        """The changes that break somebody."""
        return tuple(change for change in self.changes if change.breaks)

    @property
    def ok(self) -> bool:
        """Whether nobody is broken."""
        return not self.breaks and not self.failures

    def show(self, output: Output, *, compatible: bool = False) -> None:
        """Write each break with whom it breaks and the recorded conversations, then what no change explains."""
        left = list(self.failures)
        for change in self.breaks:
            output.say(f"{_place(change)}: {change.kind}, {change.detail}", style="red")
            for sentence in change.who:
                output.say(f"  {sentence}")
            broken = broken_by(change, self.failures)
            for failure in broken[:_SHOWN]:
                output.say(f"  recorded: {_recorded(failure)}")
            if len(broken) > _SHOWN:
                output.say(f"  recorded: and {len(broken) - _SHOWN} more")
            left = [failure for failure in left if failure not in broken]
        for failure in left:
            output.say(str(failure), style="red")
        if compatible:
            for change in self.changes:
                if not change.breaks:
                    output.say(f"{_place(change)}: {change.kind}, {change.detail}")

    def summary(self, output: Output) -> None:
        """Write one line about releases and one about recordings, if there were any."""
        if self.against:
            count = len(self.breaks)
            told = "compatible with" if not count else f"{count} change{'s break' if count > 1 else ' breaks'} users of"
            output.say(f"{told} {', '.join(self.against)}", style="red" if count else None)
        if self.breaks:
            output.say("make it a new version of its type beside the old one: see 'Evolve a message' in the docs")
        if self.recorded:
            count = len({(failure.file, failure.conversation_id) for failure in self.failures})
            told = f"{count} conversation{'' if count == 1 else 's'} can no longer be read" if count else "all are read"
            output.say(f"recordings, {self.recorded} looked at: {told}", style="red" if count else None)

    def document(self) -> Mapping[str, Any]:
        """Return the same for programs."""
        return {
            "against": list(self.against),
            "changes": [
                {
                    "type": change.type,
                    "version": change.version,
                    "path": change.path,
                    "kind": change.kind,
                    "detail": change.detail,
                    "movedTo": change.moved_to or None,
                    "breaks": sorted(change.breaks),
                    "senders": list(change.senders),
                    "receivers": list(change.receivers),
                    "since": list(change.since),
                    "recorded": [_recorded(failure) for failure in broken_by(change, self.failures)],
                }
                for change in self.changes
            ],
            "recordings": {"read": self.recorded, "broken": [asdict(failure) for failure in self.failures]},
        }


def findings(changes: tuple[Change, ...], *, recordings: Sequence[Path], against: tuple[str, ...]) -> Findings:
    """Add to what changed which recorded messages the installed packages no longer read.

    Raises UsageError when a recording cannot be read at all.
    """
    catalogue, failures, count = installed_catalogue(), list[Unreadable](), 0
    for file in recordings_in(recordings):
        count += 1
        try:
            content = file.read_bytes()
        except OSError as error:
            raise UsageError(f"{file} cannot be read: {error.strerror}") from error
        failures += unreadable(str(file), content, catalogue=catalogue)
    return Findings(changes, tuple(failures), against, count)


def _place(change: Change) -> str:
    return f"{change.type} version {change.version}, {change.path}"


def _recorded(failure: Unreadable) -> str:
    about = f" ({failure.subject})" if failure.subject else ""
    return f"{failure.file}:{failure.line}, conversation {failure.conversation_id or 'unknown'}{about}"
