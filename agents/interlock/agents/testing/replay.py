"""Feeds an agent what it was told in a recording, and tells how its answers differ; it opens no files."""

from __future__ import annotations

__all__ = ["Replay", "ReplayRecording", "Turn"]

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from interlock.agents.agent import Agent
from interlock.agents.testing.comparison import Comparison, alignment, members
from interlock.agents.testing.subject import Subject
from interlock.protocol.codec import decode, encode
from interlock.protocol.envelope import Envelope
from interlock.protocol.errors import UsageError
from interlock.protocol.message import ALL, Message

_SHOWN = 5
"""How many turns a report shows: what follows a first difference mostly follows from it."""


@dataclass
class Turn:
    """A message that the agent was told, and what it answered: then and now."""

    told: Envelope[Message] | None
    """As recorded; None: no message, but timers."""
    recorded: list[Envelope[Message]] = field(default_factory=list[Envelope[Message]])
    said: list[Envelope[Message]] = field(default_factory=list[Envelope[Message]])
    error: str | None = None
    """Why the agent has given the message up."""

    def pairs(self) -> Iterable[tuple[Envelope[Message] | None, Envelope[Message] | None]]:
        """Return what was recorded beside what stands in its place now; None on either side where there is nothing."""
        for old, new in alignment([_key(one) for one in self.recorded], [_key(one) for one in self.said]):
            yield None if old is None else self.recorded[old], None if new is None else self.said[new]


class Replay:
    """One agent's part of one recording.

    The agent is told, in the recorded order and at the recorded moments, everything that it was told then; what it
    says is laid beside what it said then. It decides nothing by itself about what is a failure: see `differences`.
    """

    def __init__(
        self, recording: Sequence[Envelope[Message]], *, agent: str, name: str = "", ignoring: Collection[str] = ()
    ) -> None:
        """`name` is how the recording is called in reports; `ignoring`: see `Comparison`.

        Raises UsageError when the agent has no part in the recording.
        """
        self.recording = recording
        self._agent = agent
        self._name = name or "the recording"
        self._lines = {envelope.id: number for number, envelope in enumerate(recording, start=1)}
        self._comparison = Comparison(ignoring=ignoring)
        self._by_the_clock = Turn(None)
        self._turns: dict[str, Turn] = {}
        if all(agent not in {envelope.sender, envelope.receiver} for envelope in recording):
            spoken = sorted({name for envelope in recording for name in (envelope.sender, envelope.receiver)})
            raise UsageError(f"{agent} has no part in {self._name}, which is between {', '.join(spoken)}")

    def __repr__(self) -> str:
        return f"Replay({self._name!r}, agent={self._agent!r}, turns={len(self.turns)})"

    @property
    def turns(self) -> tuple[Turn, ...]:
        """What was told so far, in order; the last is what timers have caused."""
        return (*self._turns.values(), self._by_the_clock)

    async def run(self, subject: Subject) -> None:
        """Tell the agent its part of the conversation, from the first line to the last."""
        told = [envelope for envelope in self.recording if self._is_told(envelope, subject)]
        self._turns = {envelope.id: Turn(envelope) for envelope in told}
        for envelope in self.recording:
            if envelope.sender == self._agent:
                self._turns.get(envelope.causation_id or "", self._by_the_clock).recorded.append(envelope)
        seen = len(subject.sent)
        causes: dict[str, Turn] = {}
        for envelope in self.recording:
            turn = self._turns.get(envelope.id)
            await subject.moved_to(self._handled_at(turn) if turn else envelope.sent_at)
            self._take(subject.sent[seen:], causes)
            seen = len(subject.sent)
            if turn is not None:
                today = decode(self._comparison.as_now(encode(envelope)), catalogue=subject.agent.catalogue)
                causes[today.id] = turn
                await subject.delivered(today)
                self._take(subject.sent[seen:], causes)
                seen = len(subject.sent)
        for row in await subject.dead():
            causes.get(row.message.message_id, self._by_the_clock).error = row.errors[-1] if row.errors else "unknown"

    def differences(self) -> str:
        """Return what is said differently now, for people to read; empty when nothing is."""
        different = [lines for turn in self.turns if (lines := self._lines_of(turn))]
        if not different:
            return ""
        shown = list(chain.from_iterable(different[:_SHOWN]))
        if len(different) > _SHOWN:
            shown.append(f"… and after {len(different) - _SHOWN} more messages")
        return "\n".join([f"{self._agent} answers otherwise than in {self._name}:", *shown])

    def updated(self) -> tuple[Envelope[Message], ...]:
        """Return the recording with what the agent says now in place of what it said then.

        A message that is said as before stays as it is, down to its id and its moment.
        """
        now: dict[str, list[Envelope[Message]]] = {}
        dropped: set[str] = set()
        for turn in self.turns:
            anchor = turn.told.id if turn.told else self.recording[-1].id
            for old, new in turn.pairs():
                if old is None:
                    assert new is not None, "one side is there"
                    now.setdefault(anchor, []).append(self._in_place_of(None, new))
                elif new is None:
                    dropped.add(old.id)
                else:
                    anchor = old.id
                    if self._comparison.difference(old, new):
                        dropped.add(old.id)
                        now.setdefault(old.id, []).append(self._in_place_of(old, new))
        result: list[Envelope[Message]] = []
        for envelope in self.recording:
            if envelope.id not in dropped:
                result.append(envelope)
            result += now.get(envelope.id, [])
        return tuple(result)

    def _is_told(self, envelope: Envelope[Message], subject: Subject) -> bool:
        announced = envelope.receiver == ALL and envelope.type in subject.agent.announcements
        return envelope.sender != self._agent and (envelope.receiver == self._agent or announced)

    def _handled_at(self, turn: Turn) -> datetime:
        """Return when the agent has handled a message: its answers tell, else it is taken to have done so at once."""
        assert turn.told is not None, "only messages are handled"
        return max(turn.told.sent_at, min((answer.sent_at for answer in turn.recorded), default=turn.told.sent_at))

    def _take(self, said: Sequence[Envelope[Message]], causes: dict[str, Turn]) -> None:
        for envelope in said:
            turn = causes.get(envelope.causation_id or "", self._by_the_clock)
            turn.said.append(envelope)
            for old, new in turn.pairs():
                if old is not None and new is envelope:
                    self._comparison.identify(old, envelope)

    def _in_place_of(self, old: Envelope[Message] | None, new: Envelope[Message]) -> Envelope[Message]:
        translated = type(new).model_validate_json(self._comparison.as_recorded(encode(new)))
        moments = {} if old is None else {"sent_at": old.sent_at, "traceparent": old.traceparent}
        return translated.model_copy(update=moments)

    def _lines_of(self, turn: Turn) -> list[str]:
        lines: list[str] = []
        for old, new in turn.pairs():
            if old is not None and new is not None:
                differing = self._comparison.difference(old, new)
                lines += [f"    {_said(new)}, other than in line {self._lines[old.id]}", *_indented(differing)]
                if not differing:
                    lines.pop()
            elif old is not None:
                lines += [f"    no {_said(old)}, which is line {self._lines[old.id]}", *_indented(_whole("-", old))]
            elif new is not None:
                lines += [f"    {_said(new)}, which was not recorded", *_indented(_whole("+", new))]
        if turn.error is not None:
            lines.append(f"    it gave the message up: {turn.error}")
        return [self._occasion(turn), *lines] if lines else []

    def _occasion(self, turn: Turn) -> str:
        if turn.told is None:
            return "  when its timers fired:"
        return f"  when told {turn.told.type} by {turn.told.sender} (line {self._lines[turn.told.id]}):"


class ReplayRecording(Protocol):
    """The type of the `replay` fixture."""

    async def __call__(self, agent: Agent, recording: str | Path, *, ignoring: Collection[str] = ()) -> Subject:
        """Tell the agent its part of a recording, and fail when it answers otherwise than it did there.

        A relative path is below the test file's folder, or pytest's root. `ignoring` are paths of members that may
        differ, like `payload.configVersion`. Returns the agent as the recording leaves it. With
        `--update-recordings` what it answers is written into the recording instead.
        """
        ...


def _key(envelope: Envelope[Any]) -> tuple[str, str]:
    return envelope.receiver, envelope.type


def _said(envelope: Envelope[Any]) -> str:
    return f"{envelope.type} to {envelope.receiver}"


def _whole(sign: str, envelope: Envelope[Any]) -> list[str]:
    return [f"{sign} {path}: {value}" for path, value in members(envelope).items() if path.startswith("payload")]


def _indented(lines: Iterable[str]) -> list[str]:
    return [f"      {line}" for line in lines]
