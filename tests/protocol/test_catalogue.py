"""The catalogue as a whole: every message has a sender and a receiver, every request can be answered."""

from __future__ import annotations

import re
from types import new_class

import pytest

from interlock.protocol import (
    CATALOGUE,
    Catalogue,
    Effect,
    Event,
    InvalidMessageError,
    Message,
    RejectionCode,
    Reply,
    Request,
    Route,
    UsageError,
)
from interlock.protocol.message import ALL, ANY, days, hours, minutes
from interlock.protocol.roles import BACKEND, CONSOLE, COORDINATOR, DEVOPS, TEAM

NAMES = {*TEAM, CONSOLE, ALL, ANY}

each_message = pytest.mark.parametrize("message", tuple(CATALOGUE), ids=lambda message: message.declaration.type)


def requests() -> list[type[Message]]:
    return [message for message in CATALOGUE if issubclass(message, Request)]


@each_message
def test_a_message_is_a_request_or_a_reply_or_an_event(message: type[Message]) -> None:
    assert sum(issubclass(message, kind) for kind in (Request, Reply, Event)) == 1


@each_message
def test_a_message_has_a_snake_case_type_a_version_and_a_docstring(message: type[Message]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", message.declaration.type)
    assert message.declaration.version >= 1
    assert message.__doc__


@each_message
def test_a_message_has_known_senders_and_receivers(message: type[Message]) -> None:
    route = message.declaration.route

    assert route.senders
    assert route.receivers
    assert route.senders | route.receivers <= NAMES


@each_message
def test_its_fields_are_camel_case_on_the_wire(message: type[Message]) -> None:
    aliases = [field.alias or name for name, field in message.model_fields.items()]

    assert all(re.fullmatch(r"[a-z]+([A-Z][a-z0-9]*)*", alias) for alias in aliases), aliases


@pytest.mark.parametrize("request_class", requests(), ids=lambda request: request.declaration.type)
def test_every_declared_reply_is_in_the_catalogue_and_travels_the_requests_way_back(
    request_class: type[Message],
) -> None:
    asked = request_class.declaration
    for reply in asked.replies:
        assert issubclass(reply, Reply)
        assert CATALOGUE.lookup(reply.declaration.type, reply.declaration.version) is reply
        for requester in asked.route.senders:
            for responder in asked.route.receivers:
                assert reply.declaration.route.allows(responder, requester), (responder, requester)


@pytest.mark.parametrize("request_class", requests(), ids=lambda request: request.declaration.type)
def test_a_request_that_changes_something_has_a_deadline(request_class: type[Message]) -> None:
    declared = request_class.declaration

    assert declared.deadline is None or declared.deadline > 0
    assert declared.effect is Effect.READ or declared.deadline is not None


def test_only_requests_have_replies_deadlines_and_effects() -> None:
    for message in CATALOGUE:
        if not issubclass(message, Request):
            assert message.declaration.replies == ()
            assert message.declaration.deadline is None
            assert message.declaration.effect is Effect.READ


def test_only_events_are_announced_to_everybody() -> None:
    announced = [message for message in CATALOGUE if ALL in message.declaration.route.receivers]

    assert announced
    assert all(issubclass(message, Event) for message in announced)


def test_only_people_can_ask_for_a_change_and_only_people_grant_an_approval() -> None:
    routes = CATALOGUE.routes()

    assert routes["change_requested"].senders == {CONSOLE}
    assert routes["approval_granted"].senders == {CONSOLE}
    assert not routes["approval_granted"].allows(DEVOPS, COORDINATOR)


def test_only_the_coordinator_can_have_something_applied() -> None:
    assert CATALOGUE.routes()["infrastructure_apply"] == Route.of(COORDINATOR, DEVOPS)


def test_a_route_with_any_agent_allows_every_name_on_that_side_only() -> None:
    route = Route.of(ANY, (DEVOPS, BACKEND))

    assert route.allows("somebody-new", BACKEND)
    assert not route.allows("somebody-new", COORDINATOR)


def test_a_team_adds_messages_of_its_own_without_changing_the_shared_catalogue() -> None:
    class CacheWarmed(Event, type="cache_warmed", route=Route.of(BACKEND, DEVOPS)):
        """A cache is warm."""

    extended = CATALOGUE.with_messages(CacheWarmed)

    assert extended.lookup("cache_warmed", 1) is CacheWarmed
    assert len(extended) == len(CATALOGUE) + 1
    with pytest.raises(InvalidMessageError) as caught:
        CATALOGUE.lookup("cache_warmed", 1)
    assert caught.value.code is RejectionCode.UNKNOWN_TYPE


def test_two_classes_cannot_declare_the_same_type_and_version() -> None:
    class Taken(Event, type="agent_offline", route=Route.of(ANY, ALL)):
        """Declared twice."""

    with pytest.raises(UsageError, match="agent_offline version 1"):
        CATALOGUE.with_messages(Taken)


def test_two_versions_of_a_type_live_side_by_side() -> None:
    class Second(Event, type="agent_offline", version=2, route=Route.of(COORDINATOR, ALL)):
        """A later version."""

    both = CATALOGUE.with_messages(Second)

    assert both.lookup("agent_offline", 2) is Second
    assert both.lookup("agent_offline", 1) is CATALOGUE.lookup("agent_offline", 1)
    assert both.routes()["agent_offline"] == Route.of(COORDINATOR, ALL)
    with pytest.raises(InvalidMessageError, match=r"\[1, 2\]"):
        both.lookup("agent_offline", 3)


def test_a_message_without_a_route_is_refused_at_its_declaration() -> None:
    with pytest.raises(UsageError, match="without a route"):
        new_class("Homeless", (Event,), {"type": "homeless"})


def test_a_catalogue_says_how_many_messages_it_knows() -> None:
    assert repr(Catalogue(())) == "Catalogue(0 messages)"


def test_durations_are_seconds() -> None:
    assert (minutes(1), hours(1), days(1)) == (60.0, 3600.0, 86400.0)
