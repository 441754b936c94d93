"""Dead letters as a command line names, selects and shows them; it opens nothing."""

from __future__ import annotations

__all__ = ["Address", "Found", "Selection", "document", "groups", "say_groups", "say_letter"]

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any

from interlock.agents.cli.output import Output
from interlock.protocol.errors import UsageError
from interlock.protocol.ids import conversation_of
from interlock.protocol.messages.repair import DeadLetter, DeadLetterState

_EXAMPLES = 8


@dataclass(frozen=True, slots=True)
class Address:
    """`backend-agent/12` or `backend-agent/parked:0f3ab91c2d4e`: one dead letter of the whole team."""

    agent: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address. Raises UsageError when it is none."""
        agent, slash, name = text.partition("/")
        if not (agent and slash and (name.startswith("parked:") or (name.isdecimal() and name.isascii()))):
            raise UsageError(
                f"'{text}' names no dead letter; 'interlock dead list' shows their names, like backend-agent/12"
            )
        return cls(agent, name)

    def __str__(self) -> str:
        return f"{self.agent}/{self.name}"


@dataclass(frozen=True, slots=True)
class Found:
    """A dead letter and where it lies."""

    agent: str
    letter: DeadLetter

    @property
    def address(self) -> Address:
        """Its name in the whole team."""
        return Address(self.agent, self.letter.name)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant: those named, or of some agents' letters those for which everything else holds."""

    addresses: tuple[Address, ...] = ()
    agents: tuple[str, ...] = ()
    """None named: all whose stores are here."""
    type: str | None = None
    conversation: str | None = None
    """A conversation's id, or a Jira issue."""
    failed_with: str | None = None
    """A part of the reason, in any case."""

    def selects(self, letter: DeadLetter) -> bool:
        """Return whether a letter is meant."""
        conversations = {self.conversation, conversation_of(self.conversation or "")}
        reasons = (letter.reason, *(failure.error for failure in letter.failures[-1:]))
        return (
            self.type in {None, letter.type}
            and (self.conversation is None or letter.conversation_id in conversations)
            and (self.failed_with is None or any(self.failed_with.lower() in reason.lower() for reason in reasons))
        )


def groups(found: Iterable[Found]) -> list[tuple[str, list[Found]]]:
    """Return letters by reason, the most frequent reason first."""
    by_reason = sorted(found, key=lambda item: item.letter.reason)
    grouped = [(reason, list(items)) for reason, items in groupby(by_reason, key=lambda item: item.letter.reason)]
    return sorted(grouped, key=lambda group: -len(group[1]))


def say_groups(output: Output, found: Sequence[Found]) -> None:
    """Show letters by reason: how many, whose, since when, and some of their names."""
    for reason, items in groups(found):
        output.say(f"{len(items)} x {reason}", style="bold")
        kinds = sorted({f"{item.agent}: {item.letter.type or 'no message'}, {item.letter.state}" for item in items})
        for kind in kinds:
            output.say(f"    {kind}")
        moments = sorted(item.letter.ended_at for item in items if item.letter.ended_at)
        if moments:
            until = "" if moments[0] == moments[-1] else f" to {moment(moments[-1])}"
            output.say(f"    {moment(moments[0])}{until}")
        names = [str(item.address) for item in items[:_EXAMPLES]]
        more = f" and {len(items) - _EXAMPLES} more" if len(items) > _EXAMPLES else ""
        output.say(f"    {' '.join(names)}{more}")


def say_letter(output: Output, item: Found) -> None:
    """Show one letter with its history, and what a retry would do."""
    letter = item.letter
    output.say(f"{item.address} is {letter.state}: {letter.type or 'no message'}", style="bold")
    facts = {
        "message": letter.message_id,
        "conversation": letter.conversation_id,
        "from": letter.sender or "nobody that the broker knows",
        "received": letter.received_at and moment(letter.received_at),
        "ended": letter.ended_at and moment(letter.ended_at),
        "replaces": letter.replaces,
        "reason": letter.reason,
    }
    for name, value in facts.items():
        if value:
            output.say(f"{name + ':':14}{value}")
    if letter.failures:
        output.say("\nattempts", style="bold")
        output.table(
            ("#", "TIME", "ERROR"),
            [(str(n), moment(failure.at), failure.error) for n, failure in enumerate(letter.failures, start=1)],
        )
    if letter.repairs:
        output.say("\nrepairs", style="bold")
        output.table(
            ("TIME", "WHO", "WHAT", "WHY", "BECAME"),
            [
                (moment(done.at), done.by, done.action, done.reason or "-", done.replacement_id or "-")
                for done in letter.repairs
            ],
        )
    output.say(f"\n{_prospect(item)}")
    if letter.body is not None:
        output.say("\nmessage", style="bold")
        output.say(letter.body)


def document(item: Found) -> dict[str, Any]:
    """Return a letter for programs."""
    members: Mapping[str, Any] = item.letter.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {"id": str(item.address), "agent": item.agent, **members}


def moment(at: datetime) -> str:
    """Return a moment in the reader's own time."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _prospect(item: Found) -> str:
    match item.letter.state:
        case DeadLetterState.DEAD:
            return (
                f"Retried, {item.agent} handles it with all its attempts anew; effects that were done are not "
                "repeated. Whoever asked has been told task_failed, and gets the new answer as well."
            )
        case DeadLetterState.PARKED:
            return (
                f"Retried, {item.agent} judges it anew, with the sender that the broker vouched for, and takes it in "
                "if it accepts it now; if not, it stays here."
            )
        case DeadLetterState.RETRIED:
            return "It has been retried, and waits for being handled or is handled now."
        case DeadLetterState.HANDLED:
            return "It has been retried, and was handled."
        case DeadLetterState.DROPPED | DeadLetterState.REPLACED:
            return f"It is {item.letter.state}: it is not handled any more, and its id stays known."
