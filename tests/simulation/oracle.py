"""Judges a run by what was seen from outside: the world's changes, the client's post, the rows on the disks.

It never asks the product what it thinks of itself.
"""

from __future__ import annotations

__all__ = ["violations"]

import json
from collections.abc import Iterator

from simulation.cast import ANSWERER, ASKER, CLIENT, DEADLINE, PATIENCE
from simulation.choices import Fault
from simulation.world import AGENTS, HOUR, SETTINGS, SILENCE, TROUBLE, Errands, World

_UNCHANGED = {"task_cancelled", "deadline_exceeded", "task_declined"}
"""Answers that say: nothing was done."""
_LOOK = 1.0
"""Seconds between looks at what is to be interrupted."""
_DISTURBING = {Fault.STORE_AWAY, Fault.COMMIT_LOST, Fault.STEP}
"""Faults after which times are not exact: the look waits for the store, or for the clock."""

_SHUFFLING = {Fault.REORDER}
"""Faults that cost the order before anything of ours sees it."""


def violations(world: World) -> list[str]:
    """Return what should not be, one sentence each; none when all is well."""
    return [*_received(world), *_once(world), *_ended(world), *_in_time(world), *_ordered(world), *_refused(world)]


def _received(world: World) -> Iterator[str]:
    """I1: what was confirmed is in its receiver's inbox, or parked."""
    known = {name: {row[0] for row in _rows(world, name, _KNOWN)} for name in AGENTS}
    known[CLIENT] = {id_ for errand in world.errands.values() for id_ in errand.concluded}
    for message in world.network.confirmed.values():
        if message.message_id in known[message.receiver]:
            continue
        if any(parked.body == message.body for parked in world.network.broker.queue(message.receiver).parked):
            continue
        yield f"I1: {message.type} {message.message_id} was confirmed and has never come to {message.receiver}"


def _once(world: World) -> Iterator[str]:
    """I2: one effect per key, and the answer is honest about it; one change of state per message."""
    for conversation, errand in world.errands.items():
        if errand.paid > 1:
            yield f"I2: paid {errand.paid} times in {conversation}"
        for told in errand.concluded.values():
            if told.verdict == "done" and errand.paid != 1:
                yield f"I2: said to be done, and paid {errand.paid} times in {conversation}"
            if (told.verdict in _UNCHANGED or (told.verdict == "failed" and not told.changed)) and errand.paid:
                yield f"I2: said to be {told.verdict} without a change, and paid in {conversation}"
    for conversation, lines in _notebooks(world).items():
        doubles = sorted({line for line in lines if lines.count(line) > 1})
        if doubles:
            yield f"I2: written down twice in {conversation}: {doubles}"


def _ended(world: World) -> Iterator[str]:
    """I3: exactly one terminal state, in time."""
    for conversation, errand in world.errands.items():
        if len(errand.concluded) != 1:
            yield f"I3: {len(errand.concluded)} conclusions in {conversation}"
        limit = TROUBLE + PATIENCE + SILENCE + (HOUR if world.choices.has(Fault.STEP) else 0.0)
        if errand.concluded_at is not None and errand.concluded_at > limit:
            yield f"I3: concluded only after {errand.concluded_at:.1f} s in {conversation}"


def _in_time(world: World) -> Iterator[str]:
    """I3: what is too late, or cancelled, is not begun and does not go on."""
    if world.choices.kinds & _DISTURBING:
        return
    slack = _LOOK + 60.0 * world.choices.pace + 0.1
    for conversation, errand in world.errands.items():
        for _, late in errand.begun:
            if late > slack:
                yield f"I3: begun {late:.1f} s after its deadline in {conversation}"
        yield from _cut_off(errand, conversation, slack)


def _cut_off(errand: Errands, conversation: str, slack: float) -> Iterator[str]:
    for ended in errand.ended:
        begun = max((moment for moment, _ in errand.begun if moment <= ended), default=ended)
        if ended - begun > DEADLINE + SETTINGS.grace + slack:
            yield f"I3: worked for {ended - begun:.1f} s, past deadline and grace, in {conversation}"
        if errand.cancelled_at is not None and ended - errand.cancelled_at > slack:
            yield f"I3: went on for {ended - errand.cancelled_at:.1f} s after its cancellation in {conversation}"


def _ordered(world: World) -> Iterator[str]:
    """Order per conversation, and no note missing that was confirmed."""
    given_up = {row[0] for row in _rows(world, ANSWERER, "SELECT message_id FROM inbox WHERE state = 'dead'")}
    for conversation, lines in _notebooks(world).items():
        expected = ["order", *(str(number) for number in range(1, world.errands[conversation].notes + 1))]
        if not world.choices.kinds & _SHUFFLING and lines != [line for line in expected if line in lines]:
            yield f"order: {lines} in {conversation}"
    books = _notebooks(world)
    for conversation, errand in world.errands.items():
        missing = {str(number) for number in range(1, errand.notes + 1)} - set(books.get(conversation, []))
        if missing and not given_up:
            yield f"I1: notes {sorted(missing)} were never written down in {conversation}"


def _refused(world: World) -> Iterator[str]:
    """A known id with another body is parked, and changes nothing."""
    parked = world.network.broker.queue(ASKER).parked
    for conversation, errand in world.errands.items():
        bodies = [message.body for message in parked if conversation.encode() in message.body]
        # Where the order may be lost, the forged one may have come first: then the other one is refused.
        whichever = bool(world.choices.kinds & _SHUFFLING)
        if errand.forged and not any(whichever or b'"forged"' in body for body in bodies):
            yield f"I1: a reused id was not parked in {conversation}"
        if not errand.forged and bodies:
            yield f"I1: {len(bodies)} messages were parked for no reason in {conversation}"


def _notebooks(world: World) -> dict[str, list[str]]:
    return {row[0]: json.loads(row[1]) for row in _rows(world, ANSWERER, "SELECT id, state FROM workflow")}


def _rows(world: World, agent: str, query: str) -> list[tuple[str, ...]]:
    return [tuple(row) for row in world.disks[agent].connection.execute(query).fetchall()]


_KNOWN = "SELECT message_id FROM inbox UNION SELECT message_id FROM seen"
