"""What changed between two releases of the messages, and whom it breaks; it knows data alone, no classes and no files.

*Backward*: receivers with the newer code read what was written with the older one, on the wire, in stores and in
recordings. *Forward*: receivers that still run the older code read what the newer one sends. While a release is rolled
out both are on the wire, so by default both are required, against every release that may still run.
"""

from __future__ import annotations

__all__ = ["Change", "Direction", "changes", "changes_since"]

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from interlock.protocol.catalogue import declared_in
from interlock.protocol.contract import Contract, Contracts
from interlock.protocol.message import ANY
from interlock.protocol.messages import task
from interlock.protocol.refusal import Refusal, members, refusals

_LIFE_CYCLE = frozenset(message.declaration.type for message in declared_in(task))
"""What may answer every request, declared or not."""

_PAIRS: Mapping[str, tuple[str, str]] = {
    "absent": ("required_member_added", "required_member_removed"),
    "optional": ("member_required", "member_optional"),
}
"""What it is called that a member is required by the newer, and by the older code alone."""


class Direction(StrEnum):
    """Who cannot read whom."""

    BACKWARD = "backward"
    """The newer code does not read what the older has written."""
    FORWARD = "forward"
    """The older code does not read what the newer writes."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. It breaks somebody when `breaks` is not empty."""

    type: str
    version: int
    path: str
    """The member, e.g. `payload.connection.port`; or what of the declaration: `version`, `route`, `replies`, …"""
    kind: str
    """Stable, e.g. `member_renamed`, `range_narrowed`, `reply_removed`."""
    detail: str
    breaks: frozenset[Direction]
    senders: tuple[str, ...]
    receivers: tuple[str, ...]
    since: tuple[str, ...] = ()
    """The older releases that it was found against."""
    moved_to: str = ""
    """For something renamed: its new name or path."""

    @property
    def who(self) -> tuple[str, ...]:
        """Return one sentence for each direction that is broken: whom it breaks."""
        older = ", ".join(self.since) or "before"
        senders, receivers = " and ".join(self.senders), " and ".join(self.receivers)
        told = {
            Direction.BACKWARD: f"{receivers} cannot take in what {senders} of {older} sent: on the wire, in stores, "
            "in recordings",
            Direction.FORWARD: f"{receivers} of {older} cannot take in what {senders} will send",
        }
        return tuple(f"{direction.value}: {told[direction]}" for direction in Direction if direction in self.breaks)


def changes(older: Contracts, newer: Contracts) -> tuple[Change, ...]:
    """Return what differs, breaks first, then by type, version and path."""
    return _sorted(replace(change, since=(older.name,)) for change in _all(older, newer))


def changes_since(releases: Iterable[Contracts], newer: Contracts) -> tuple[Change, ...]:
    """Return what differs from any of these releases; what differs from several in the same way is one change."""
    found: dict[Change, list[str]] = {}
    for release in releases:
        for change in _all(release, newer):
            found.setdefault(change, []).append(release.name)
    return _sorted(replace(change, since=tuple(names)) for change, names in found.items())


def _sorted(found: Iterable[Change]) -> tuple[Change, ...]:
    return tuple(sorted(found, key=lambda change: (not change.breaks, change.type, change.version, change.path)))


def _all(older: Contracts, newer: Contracts) -> Iterator[Change]:
    for contract in older:
        now = newer.find(contract.type, contract.version)
        if now is None:
            yield from _gone(contract, older, newer)
        else:
            yield from _declared(contract, now)
            yield from _schema(contract, now)
    for contract in newer:
        if older.find(contract.type, contract.version) is None:
            kind = "version_added" if older.versions(contract.type) else "type_added"
            yield _change(contract, "version" if kind == "version_added" else "type", kind, "new")


def _gone(contract: Contract, older: Contracts, newer: Contracts) -> Iterator[Change]:
    left = newer.versions(contract.type)
    if not left:
        heirs = [
            heir.type
            for heir in newer
            if not older.versions(heir.type) and _payload(heir) == _payload(contract) and heir.kind == contract.kind
        ]
        if heirs:
            detail = f"it is {heirs[0]} now; a released type keeps its name"
            yield _change(contract, "type", "type_renamed", detail, *Direction, moved_to=heirs[0])
        else:
            detail = "no version of it is left; a released type stays in the catalogue"
            yield _change(contract, "type", "type_removed", detail, Direction.BACKWARD)
        return
    broken: list[Direction] = []
    if not _upcast_from(contract, newer):
        broken.append(Direction.BACKWARD)
    if not set(left) & set(older.versions(contract.type)):
        broken.append(Direction.FORWARD)
    read = "it is read as a newer one" if Direction.BACKWARD not in broken else "no upcast leads on from it"
    yield _change(contract, "version", "version_removed", f"versions {list(left)} are left; {read}", *broken)


def _upcast_from(contract: Contract, newer: Contracts) -> bool:
    following = newer.find(contract.type, contract.version + 1)
    return following is not None and following.upcasts


def _declared(was: Contract, now: Contract) -> Iterator[Change]:
    both = tuple(Direction)
    if was.kind != now.kind:
        yield _change(now, "kind", "kind_changed", f"from {was.kind} to {now.kind}", *both)
    if was.effect != now.effect:
        detail = f"from {was.effect} to {now.effect}; gates follow from it"
        yield _change(now, "effect", "effect_changed", detail, *both)
    if was.upcasts and not now.upcasts:
        yield _change(now, "upcast", "upcast_removed", "the version before is no longer read", Direction.BACKWARD)
    for senders, receivers in _lost(was, now):
        detail = f"{' and '.join(senders)} may no longer send it to {' and '.join(receivers)}"
        yield _routed(now, "permission_removed", detail, senders, receivers, Direction.BACKWARD)
    for senders, receivers in _lost(now, was):
        detail = f"{' and '.join(senders)} may send it to {' and '.join(receivers)} now; roll receivers out first"
        yield _routed(now, "permission_added", detail, senders, receivers)
    for name in sorted(was.replies - now.replies):
        detail = f"{name} no longer answers it"
        yield _answered(now, "reply_removed", detail, Direction.BACKWARD)
    for name in sorted(now.replies - was.replies):
        detail = f"{name} may answer it now"
        yield _answered(now, "reply_added", detail, *(() if name in _LIFE_CYCLE else (Direction.FORWARD,)))
    if was.deadline != now.deadline:
        yield from _deadline(was, now)


def _deadline(was: Contract, now: Contract) -> Iterator[Change]:
    told = f"from {_seconds(was.deadline)} to {_seconds(now.deadline)}"
    if now.deadline is not None and (was.deadline is None or now.deadline < was.deadline):
        yield _change(now, "deadline", "deadline_shortened", told, Direction.FORWARD)
    else:
        yield _change(now, "deadline", "deadline_extended", told)


def _routed(
    contract: Contract,
    kind: str,
    detail: str,
    senders: tuple[str, ...],
    receivers: tuple[str, ...],
    *breaks: Direction,
) -> Change:
    return Change(contract.type, contract.version, "route", kind, detail, frozenset(breaks), senders, receivers)


def _answered(request: Contract, kind: str, detail: str, *breaks: Direction) -> Change:
    """A change of replies is the requesters' matter: they are who receives."""
    return Change(
        request.type,
        request.version,
        "replies",
        kind,
        detail,
        frozenset(breaks),
        senders=tuple(sorted(request.receivers)),
        receivers=tuple(sorted(request.senders)),
    )


def _lost(was: Contract, now: Contract) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Yield the senders and receivers that only the first of two routes joins."""
    senders = was.senders if ANY not in now.senders else frozenset()
    receivers = was.receivers if ANY not in now.receivers else frozenset()
    if gone := senders - now.senders:
        yield tuple(sorted(gone)), tuple(sorted(was.receivers))
    if gone := receivers - now.receivers:
        yield tuple(sorted(was.senders)), tuple(sorted(gone))


def _schema(was: Contract, now: Contract) -> Iterator[Change]:
    before, after = members(was.schema), members(now.schema)
    renamed = dict(_renamed(before, after))
    for old, new in renamed.items():
        yield _change(now, old, "member_renamed", f"it is {new} now", *Direction, moved_to=new)
    reasons: dict[tuple[str, str], dict[Direction, Refusal]] = {}
    for direction, found in (
        (Direction.BACKWARD, refusals(was.schema, now.schema)),
        (Direction.FORWARD, refusals(now.schema, was.schema)),
    ):
        for refusal in found:
            if refusal.path not in renamed and refusal.path not in renamed.values():
                reasons.setdefault((refusal.path, refusal.aspect), {})[direction] = refusal
    for (path, aspect), why in reasons.items():
        yield _change(now, path, _kind(aspect, why), _detail(aspect, why), *why)
    told = {path for path, _ in reasons}
    for path in sorted(after.keys() - before.keys() - told - set(renamed.values())):
        if not _inside_new(path, after.keys() - before.keys()):
            yield _change(now, path, "member_added", "optional")
    for path in sorted(before.keys() - after.keys() - told - renamed.keys()):
        if not _inside_new(path, before.keys() - after.keys()):
            yield _change(now, path, "member_removed", "it was optional; receivers drop it when it still comes")


def _renamed(
    before: Mapping[str, tuple[str, bool]], after: Mapping[str, tuple[str, bool]]
) -> Iterator[tuple[str, str]]:
    """Yield what is gone and what has come in the same place with the same schema: its meaning would be lost."""
    come = sorted(after.keys() - before.keys())
    for old in sorted(before.keys() - after.keys()):
        parent = old.rpartition(".")[0]
        for new in come:
            if new.rpartition(".")[0] == parent and after[new] == before[old]:
                come.remove(new)
                yield old, new
                break


def _inside_new(path: str, news: Iterable[str]) -> bool:
    return any(path.startswith((f"{other}.", f"{other}[")) for other in news)


def _kind(aspect: str, why: Mapping[Direction, Refusal]) -> str:
    if aspect in _PAIRS:
        added, removed = _PAIRS[aspect]
        return added if Direction.BACKWARD in why else removed
    if len(why) > 1:
        return f"{aspect}_changed"
    return f"{aspect}_{'narrowed' if Direction.BACKWARD in why else 'widened'}"


def _detail(aspect: str, why: Mapping[Direction, Refusal]) -> str:
    if aspect in _PAIRS:
        return "required now" if Direction.BACKWARD in why else "it was required, and older receivers insist on it"
    told = {Direction.BACKWARD: "was written", Direction.FORWARD: "will be written"}
    return "; ".join(f"{told[direction]}: {refusal.detail}" for direction, refusal in why.items())


def _change(contract: Contract, path: str, kind: str, detail: str, *breaks: Direction, moved_to: str = "") -> Change:
    return Change(
        contract.type,
        contract.version,
        path,
        kind,
        detail,
        frozenset(breaks),
        senders=tuple(sorted(contract.senders)),
        receivers=tuple(sorted(contract.receivers)),
        moved_to=moved_to,
    )


def _payload(contract: Contract) -> str:
    return members(contract.schema)["payload"][0]


def _seconds(deadline: float | None) -> str:
    return "none" if deadline is None else f"{deadline:g} s"
