"""Releases of messages compared: the place, the kind of change, and whom it breaks."""

from __future__ import annotations

from types import new_class
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from interlock.protocol import CATALOGUE, Catalogue, Effect, Event, Message, Reply, Request, Route, UsageError
from interlock.protocol.compatibility import Change, Direction, changes, changes_since
from interlock.protocol.contract import Contracts
from interlock.protocol.messages.task import TaskDeclined
from interlock.protocol.values import ShortText, Value

BACKWARD, FORWARD = Direction.BACKWARD, Direction.FORWARD
BOTH = {BACKWARD, FORWARD}
ROUTE = Route.of("devops-agent", "backend-agent")


class Address(Value):
    """Where something is."""

    host: ShortText
    port: Annotated[int, Field(ge=1, le=100)]


class NarrowAddress(Value):
    """The same with fewer ports."""

    host: ShortText
    port: Annotated[int, Field(ge=10, le=100)]


class RenamedAddress(Value):
    """The same with another word."""

    host: ShortText
    tcp_port: Annotated[int, Field(ge=1, le=100)]


MANY = tuple[Address, ...]
NAMED = dict[str, Address]


class Warmed(Reply, type="warmed", route=Route.of("backend-agent", "devops-agent")):
    """It is warm."""


class Cooled(Reply, type="cooled", route=Route.of("backend-agent", "devops-agent")):
    """It is cool."""


def in_bytes(older: dict[str, Any]) -> dict[str, Any]:
    """An upcast; what it does is no part of a contract, that it is there is."""
    return {"bytes": older["size"]}


def message(
    kind: type[Message] = Event, *, name: str = "cache", fields: dict[str, Any] | None = None, **declared: Any
) -> type[Message]:
    """Declare a message class with these fields."""
    fields = fields or {}
    members = {name: value for name, value in fields.items() if not isinstance(value, tuple)}
    annotations = members | {name: value[0] for name, value in fields.items() if isinstance(value, tuple)}
    defaults = {name: value[1] for name, value in fields.items() if isinstance(value, tuple)}
    body = {"__annotations__": annotations, "__doc__": "A message.", "__module__": __name__} | defaults
    return new_class("Cache", (kind,), {"type": name, "route": ROUTE} | declared, lambda space: space.update(body))


def contracts(*classes: type[Message], name: str = "1.0") -> Contracts:
    return Contracts.of_catalogue(Catalogue(classes), name=name)


def only(older: type[Message], newer: type[Message]) -> Change:
    """Return the one change between two declarations."""
    (change,) = changes(contracts(older), contracts(newer))
    return change


@pytest.mark.parametrize(
    ("before", "after", "path", "kind", "breaks"),
    [
        ({}, {"size": (int | None, None)}, "payload.size", "member_added", set()),
        ({"size": (int | None, None)}, {}, "payload.size", "member_removed", set()),
        ({}, {"size": int}, "payload.size", "required_member_added", {BACKWARD}),
        ({"size": int}, {}, "payload.size", "required_member_removed", {FORWARD}),
        ({"size": (int, 0)}, {"size": int}, "payload.size", "member_required", {BACKWARD}),
        ({"size": int}, {"size": (int, 0)}, "payload.size", "member_optional", {FORWARD}),
        ({"size": int}, {"bytes": int}, "payload.size", "member_renamed", BOTH),
        ({"size": (int | None, None)}, {"bytes": (int | None, None)}, "payload.size", "member_renamed", BOTH),
        ({"at": Address}, {"at": RenamedAddress}, "payload.at.port", "member_renamed", BOTH),
        ({"at": Address}, {"at": NarrowAddress}, "payload.at.port", "range_narrowed", {BACKWARD}),
        ({"at": tuple[NarrowAddress, ...]}, {"at": MANY}, "payload.at[].port", "range_widened", {FORWARD}),
        ({"at": NAMED}, {"at": dict[str, NarrowAddress]}, "payload.at.*.port", "range_narrowed", {BACKWARD}),
        ({"size": int}, {"size": str}, "payload.size", "type_changed", BOTH),
        ({"size": int}, {"size": float}, "payload.size", "type_widened", {FORWARD}),
        ({"size": int | None}, {"size": int}, "payload.size", "type_narrowed", {BACKWARD}),
        ({"how": Literal["a", "b"]}, {"how": Literal["a"]}, "payload.how", "values_narrowed", {BACKWARD}),
        ({"how": Literal["a"]}, {"how": Literal["a", "b"]}, "payload.how", "values_widened", {FORWARD}),
        ({"how": Literal["a"]}, {"how": Literal["b"]}, "payload.how", "values_changed", BOTH),
        ({"how": Literal["a", "b"]}, {"how": str}, "payload.how", "values_widened", {FORWARD}),
        ({"text": str}, {"text": ShortText}, "payload.text", "length_narrowed", {BACKWARD}),
        (
            {"text": Annotated[str, Field(pattern="^a")]},
            {"text": Annotated[str, Field(pattern="^b")]},
            "payload.text",
            "pattern_changed",
            BOTH,
        ),
    ],
)  # fmt: skip
def test_a_change_of_a_member_is_named(
    before: dict[str, Any], after: dict[str, Any], path: str, kind: str, breaks: set[Direction]
) -> None:
    change = only(message(fields=before), message(fields=after))

    assert (change.path, change.kind, set(change.breaks)) == (path, kind, breaks)
    assert (change.type, change.version, change.since) == ("cache", 1, ("1.0",))


@pytest.mark.parametrize(
    ("before", "after", "path", "kind", "breaks"),
    [
        ({"deadline": 60.0}, {"deadline": 30.0}, "deadline", "deadline_shortened", {FORWARD}),
        ({}, {"deadline": 30.0}, "deadline", "deadline_shortened", {FORWARD}),
        ({"deadline": 30.0}, {"deadline": 60.0}, "deadline", "deadline_extended", set()),
        ({"effect": Effect.READ}, {"effect": Effect.DESTRUCTIVE}, "effect", "effect_changed", BOTH),
        ({"replies": (Warmed,)}, {"replies": ()}, "replies", "reply_removed", {BACKWARD}),
        ({"replies": ()}, {"replies": (Cooled,)}, "replies", "reply_added", {FORWARD}),
        ({"replies": ()}, {"replies": (TaskDeclined,)}, "replies", "reply_added", set()),
        (
            {"route": Route.of(("devops-agent", "qa-agent"), "backend-agent")},
            {},
            "route",
            "permission_removed",
            {BACKWARD},
        ),
        ({}, {"route": Route.of("devops-agent", ("backend-agent", "qa-agent"))}, "route", "permission_added", set()),
        ({}, {"route": Route.of("*", "backend-agent")}, "route", "permission_added", set()),
    ],
)
def test_a_change_of_the_declaration_is_named(
    before: dict[str, Any], after: dict[str, Any], path: str, kind: str, breaks: set[Direction]
) -> None:
    change = only(message(Request, **before), message(Request, **after))

    assert (change.path, change.kind, set(change.breaks)) == (path, kind, breaks)


def test_another_kind_of_message_breaks_both() -> None:
    assert only(message(Event), message(Request)).kind == "kind_changed"


def test_whom_it_breaks_is_said_by_name() -> None:
    change = only(message(fields={"size": int}), message(fields={"bytes": int}))

    assert change.moved_to == "payload.bytes"
    assert change.who == (
        "backward: backend-agent cannot take in what devops-agent of 1.0 sent: on the wire, in stores, in recordings",
        "forward: backend-agent of 1.0 cannot take in what devops-agent will send",
    )


def test_a_removed_reply_is_the_requesters_matter() -> None:
    change = only(message(Request, replies=(Warmed,)), message(Request))

    assert change.who[0].startswith("backward: devops-agent cannot take in what backend-agent of 1.0 sent")


def test_a_type_that_is_gone_or_has_a_new_name_is_a_break() -> None:
    was = message(fields={"size": int})
    (removed,) = changes(contracts(was), contracts())
    renamed, _ = changes(contracts(was), contracts(message(name="hot_cache", fields={"size": int})))

    assert (removed.kind, set(removed.breaks)) == ("type_removed", {BACKWARD})
    assert (renamed.kind, renamed.moved_to, set(renamed.breaks)) == ("type_renamed", "hot_cache", BOTH)


def test_a_new_version_beside_the_old_one_breaks_nobody() -> None:
    first, second = message(fields={"size": int}), message(fields={"bytes": int}, version=2)

    (change,) = changes(contracts(first), contracts(first, second))

    assert (change.version, change.kind, change.breaks) == (2, "version_added", frozenset())


def test_a_version_may_go_once_upcasts_read_it_and_every_release_knows_the_next() -> None:
    first = message(fields={"size": int})
    second = message(fields={"bytes": int}, version=2, upcast=in_bytes)
    unreadable = message(fields={"bytes": int}, version=2)

    too_early, _ = changes(contracts(first), contracts(second))
    (in_time,) = changes(contracts(first, second), contracts(second))
    (lost,) = changes(contracts(first, unreadable), contracts(unreadable))

    assert (too_early.kind, set(too_early.breaks)) == ("version_removed", {FORWARD})
    assert (in_time.kind, set(in_time.breaks)) == ("version_removed", set())
    assert (lost.kind, set(lost.breaks)) == ("version_removed", {BACKWARD})


def test_what_was_broken_before_the_last_release_is_found_in_all_of_them() -> None:
    first = contracts(message(fields={"size": int}), name="1.0")
    second = contracts(message(), name="1.1")
    third = contracts(message(fields={"size": (str | None, None)}), name="now")

    found = {(change.kind, change.since) for change in changes_since((first, second), third) if change.breaks}

    assert found == {("type_changed", ("1.0",)), ("member_optional", ("1.0",))}
    assert not any(change.breaks for change in changes(second, third))


def test_one_change_since_several_releases_is_one_change() -> None:
    was = message(fields={"size": int})

    (change,) = changes_since((contracts(was, name="1.0"), contracts(was, name="1.1")), contracts(message()))

    assert change.since == ("1.0", "1.1")


def test_a_release_is_read_as_it_was_written() -> None:
    written = Contracts.of_catalogue(CATALOGUE, name="0.1.0")

    read = Contracts.parse("0.1.0", written.lines())

    assert read.lines() == written.lines()
    assert changes(read, written) == ()


def test_texts_for_people_are_no_part_of_a_contract() -> None:
    class Explained(Value):
        """Explained at length."""

        title: ShortText
        """A member that is called like a keyword."""

    (change,) = changes(contracts(message()), contracts(message(fields={"note": (Explained | None, None)})))

    assert b"Explained at length" not in contracts(message(fields={"note": Explained})).lines()
    assert (change.path, change.kind) == ("payload.note", "member_added")
    untitled = changes(contracts(message(fields={"note": Explained})), contracts(message(fields={"note": Value})))
    assert [change.path for change in untitled] == ["payload.note.title"]


@pytest.mark.parametrize("lines", [b"{}\n", b"[]\n", b"nothing\n", b'{"type": "a"}\n'])
def test_a_file_that_is_no_release_is_named_with_the_line(lines: bytes) -> None:
    with pytest.raises(UsageError, match=r"9\.9, line 1"):
        Contracts.parse("9.9", lines)


def test_breaks_come_first() -> None:
    was, now = message(fields={"z": int}), message(fields={"a": (int | None, None)})

    assert [bool(change.breaks) for change in changes(contracts(was), contracts(now))] == [True, False]
