"""Versions of one message type: what is read as what, by whom, and what becomes of data that no upcast can read."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from types import new_class
from typing import Any

import pytest

from interlock.protocol import (
    CATALOGUE,
    Catalogue,
    Envelope,
    Event,
    InvalidMessageError,
    Message,
    RejectionCode,
    Route,
    UsageError,
    decode,
    decode_bare,
    encode,
    recording,
)

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
ROUTE = Route.of("qa-agent", "devops-agent")


def in_bytes(older: dict[str, Any]) -> dict[str, Any]:
    return {"freedBytes": older["freedMegabytes"] * 1_048_576, "disk": older.get("disk", "sda")}


def with_disks(older: dict[str, Any]) -> dict[str, Any]:
    older["disks"] = [older.pop("disk")]
    return older


class DiskCleaned(Event, type="disk_cleaned", route=ROUTE):
    """Version 1 counts megabytes."""

    freed_megabytes: int


class DiskCleaned2(Event, type="disk_cleaned", version=2, route=ROUTE, upcast=in_bytes):
    """Version 2 counts bytes, and names the disk."""

    freed_bytes: int
    disk: str


class DiskCleaned3(Event, type="disk_cleaned", version=3, route=ROUTE, upcast=with_disks):
    """Version 3 has several disks."""

    freed_bytes: int
    disks: tuple[str, ...]


ALL_THREE = CATALOGUE.with_messages(DiskCleaned, DiskCleaned2, DiskCleaned3)
ONLY_THE_NEWEST = Catalogue((DiskCleaned2, DiskCleaned3))


def sent(payload: Message) -> bytes:
    return encode(Envelope.wrap(payload, sender="qa-agent", receiver="devops-agent", sent_at=NOW))


@pytest.mark.parametrize("catalogue", [ALL_THREE, ONLY_THE_NEWEST], ids=["all versions", "the first one retired"])
def test_an_older_version_is_read_as_the_newest_one_step_by_step(catalogue: Catalogue) -> None:
    envelope = decode(sent(DiskCleaned(freed_megabytes=2)), catalogue=catalogue)

    assert envelope.payload == DiskCleaned3(freed_bytes=2_097_152, disks=("sda",))
    assert envelope.version == 3
    assert decode(encode(envelope), catalogue=catalogue) == envelope


def test_what_is_of_the_newest_version_is_left_alone() -> None:
    newest = DiskCleaned3(freed_bytes=1, disks=("sdb",))

    assert decode(sent(newest), catalogue=ALL_THREE).payload == newest


def test_a_tool_sees_what_was_written_and_an_upcast_only_where_the_version_is_gone() -> None:
    body = sent(DiskCleaned(freed_megabytes=2))

    assert decode(body, catalogue=ALL_THREE, upcast=False).payload == DiskCleaned(freed_megabytes=2)
    assert decode_bare(body, now=NOW, catalogue=ALL_THREE).payload == DiskCleaned(freed_megabytes=2)
    assert decode(body, catalogue=ONLY_THE_NEWEST, upcast=False).version == 3


def test_a_recording_keeps_the_version_that_was_recorded() -> None:
    (recorded,) = recording.read(sent(DiskCleaned(freed_megabytes=2)), catalogue=ALL_THREE)

    assert recorded.payload == DiskCleaned(freed_megabytes=2)


def test_versions_without_an_upcast_are_messages_of_their_own() -> None:
    class DiskCleaned4(Event, type="disk_cleaned", version=4, route=ROUTE):
        """Says something that no older version can tell."""

        by: str

    catalogue = ALL_THREE.with_messages(DiskCleaned4)

    assert decode(sent(DiskCleaned(freed_megabytes=2)), catalogue=catalogue).version == 3
    assert decode(sent(DiskCleaned4(by="cron")), catalogue=catalogue).version == 4


def test_a_catalogue_up_to_a_version_reads_no_further() -> None:
    older = ALL_THREE.up_to({"disk_cleaned": 2})

    assert decode(sent(DiskCleaned(freed_megabytes=2)), catalogue=older).version == 2
    with pytest.raises(InvalidMessageError, match=r"known in versions \[1, 2\]"):
        decode(sent(DiskCleaned3(freed_bytes=1, disks=())), catalogue=older)


def test_the_older_versions_own_limits_hold_before_an_upcast_sees_the_data() -> None:
    members = json.loads(sent(DiskCleaned(freed_megabytes=2)))
    members["payload"] = {"freedMegabytes": "two"}

    with pytest.raises(InvalidMessageError) as caught:
        decode(json.dumps(members).encode(), catalogue=ALL_THREE)

    assert caught.value.path == "payload.freedMegabytes"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"somethingElse": "SECRET"}, "version 2: its upcast failed with KeyError"),
        ({"freedMegabytes": "SECRET"}, r"\(read as version 3\)"),
        (["SECRET"], "an object is required"),
    ],
)
def test_what_an_upcast_can_not_read_is_refused_without_repeating_it(payload: object, reason: str) -> None:
    members = json.loads(sent(DiskCleaned(freed_megabytes=2))) | {"payload": payload}

    with pytest.raises(InvalidMessageError, match=reason) as caught:
        decode(json.dumps(members).encode(), catalogue=ONLY_THE_NEWEST)

    assert caught.value.code is RejectionCode.INVALID_FIELD
    assert caught.value.path.startswith("payload")
    assert "SECRET" not in str(caught.value)


def test_the_first_version_has_nothing_to_upcast_from() -> None:
    with pytest.raises(UsageError, match="none before it"):
        new_class("Wrong", (Event,), {"type": "wrong", "route": ROUTE, "upcast": in_bytes})


def test_a_type_may_be_sent_as_any_of_its_versions_routes_say_and_not_as_their_mixture() -> None:
    class Moved(Event, type="disk_cleaned", version=5, route=Route.of("backend-agent", "deploy-agent")):
        """The next version is another agent's."""

    catalogue = ALL_THREE.with_messages(Moved)

    assert catalogue.allows("disk_cleaned", "qa-agent", "devops-agent")
    assert catalogue.allows("disk_cleaned", "backend-agent", "deploy-agent")
    assert not catalogue.allows("disk_cleaned", "qa-agent", "deploy-agent")
    assert not catalogue.allows("never_heard_of", "qa-agent", "devops-agent")
