"""Finds dead letters across agents and has them repaired at a bounded rate; it parses no arguments."""

from __future__ import annotations

__all__ = ["Workshop"]

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import Any, TypeVar

import anyio
from pydantic import ValidationError

from interlock.agents.cli.letter_box import LetterBox
from interlock.agents.cli.letters import Address, Found, Selection
from interlock.agents.cli.output import Output
from interlock.bus.clock import Clock
from interlock.protocol.errors import InterlockError, UsageError
from interlock.protocol.messages.repair import (
    DeadLettersReport,
    DeadLettersRequest,
    RepairAction,
    RepairOutcome,
    RepairRequest,
)

RequestT = TypeVar("RequestT", DeadLettersRequest, RepairRequest)

_LARGEST_ORDER = 100
_MORE_THAN_SHOWN = 200


class Workshop:
    """What a command does with dead letters; what it has done is said as it goes."""

    def __init__(
        self, letter_box: Callable[[str], LetterBox], *, agents: Sequence[str], clock: Clock, output: Output
    ) -> None:
        """`agents` are those whose letters are looked at when none is named."""
        self._letter_box = letter_box
        self._agents = agents
        self._clock = clock
        self._output = output

    def __repr__(self) -> str:
        return f"Workshop({list(self._agents)})"

    async def chosen(self, selection: Selection) -> list[Found]:
        """Return the letters that are meant, oldest first. Of one agent at most 200 are looked at, and a note says so.

        Raises UsageError when one that was named is not there, or no agent is known.
        """
        if selection.addresses:
            return await self._named(selection.addresses)
        found: list[Found] = []
        unseen: dict[str, list[str]] = {}
        for agent, (report, why) in (await self._reports(selection.agents or self._agents)).items():
            if isinstance(report, InterlockError):
                if agent in selection.agents:
                    raise report
                self._output.note(f"{agent} is left out: {report}")  # what cannot be read must not hide the others
                continue
            if why is not None:
                unseen.setdefault(why, []).append(agent)
            found += [Found(agent, letter) for letter in report.letters if selection.selects(letter)]
            if report.more:
                self._output.note(f"{agent} has more than these {len(report.letters)}: repair them and look again")
        for why, agents in unseen.items():
            self._output.note(f"parked messages of {', '.join(agents)} are not looked at: {why}")
        if not selection.agents and not self._agents:
            raise UsageError("there are no stores of agents here: give their state_dir, or name one by --agent")
        return found

    async def _reports(self, agents: Sequence[str]) -> dict[str, tuple[DeadLettersReport | InterlockError, str | None]]:
        """Ask all of them at one time: without a broker they then wait for it once, not one after another.

        Of each its report, or why there is none, and why the parked messages are missing in it.
        """
        answers: dict[str, tuple[DeadLettersReport | InterlockError, str | None]] = {}

        async def ask(agent: str) -> None:
            try:
                async with self._letter_box(agent) as box:
                    answers[agent] = await box.report(DeadLettersRequest(limit=_MORE_THAN_SHOWN)), box.unseen
            except InterlockError as error:
                answers[agent] = error, None

        async with anyio.create_task_group() as tasks:
            for agent in agents:
                tasks.start_soon(ask, agent)
        return {agent: answers[agent] for agent in agents}

    async def one(self, address: Address, with_body: bool) -> Found:
        """Return one letter. Raises UsageError when there is none of that name."""
        [found] = await self._named([address], with_body=with_body)
        return found

    async def _named(self, addresses: Iterable[Address], *, with_body: bool = False) -> list[Found]:
        found: list[Found] = []
        for agent, of_agent in groupby(addresses, key=lambda address: address.agent):
            async with self._letter_box(agent) as box:
                for address in of_agent:
                    request = _validated(DeadLettersRequest, name=address.name, with_body=with_body)
                    found += [Found(agent, letter) for letter in (await box.report(request)).letters]
        return found

    def order(
        self, action: RepairAction, *, by: str, reason: str, payload: str | None = None, version: int | None = None
    ) -> RepairRequest:
        """Return an order that names no letters yet. Raises UsageError for a name or a reason that is too long."""
        members = {"by": by, "reason": reason, "payload": payload, "version": version}
        return _validated(RepairRequest, action=action, letters=("1",), **members)

    async def repair(self, order: RepairRequest, items: Iterable[Found], rate: float) -> list[dict[str, Any]]:
        """Have letters repaired, at most `rate` a second, and return what became of each."""
        outcomes: list[dict[str, Any]] = []
        for agent, of_agent in groupby(items, key=lambda item: item.agent):
            names = [item.letter.name for item in of_agent]
            size = min(_LARGEST_ORDER, max(1, int(rate)))
            async with self._letter_box(agent) as box:
                for start in range(0, len(names), size):
                    if outcomes:
                        await self._clock.sleep(size / rate)
                    part = order.model_copy(update={"letters": tuple(names[start : start + size])})
                    for outcome in (await box.repair(part)).outcomes:
                        address = Address(agent, outcome.name)
                        became = f" as message {outcome.replacement_id}" if outcome.replacement_id else ""
                        done = outcome.outcome is RepairOutcome.DONE
                        said = f"{outcome.detail}{became}" if done else f"not repaired: {outcome.detail}"
                        self._output.say(f"{address}  {said}", style=None if done else "red")
                        outcomes.append(
                            {"id": str(address), **outcome.model_dump(mode="json", by_alias=True, exclude_none=True)}
                        )
        return outcomes


def _validated(kind: type[RequestT], **members: object) -> RequestT:
    try:
        return kind.model_validate(members)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        option = {"by": "--as", "reason": "--reason", "name": "ID"}.get(str(first["loc"][0]), str(first["loc"][0]))
        raise UsageError(f"{option}: {first['msg'].removeprefix('Value error, ')}") from error
