"""The committed schemas are those of the code, and say what the decoder does."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from interlock.protocol import CATALOGUE, Event, Message, Route, UsageError, decode_bare, encode
from interlock.protocol.export import Difference, check, export
from message_strategies import message_documents

ROOT = Path(__file__).parent.parent.parent
MESSAGES = ROOT / "tests" / "fixtures" / "messages"
NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
EXPORTED = export()


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads(EXPORTED[f"{name}.v1.json"]))


def completed(name: str) -> dict[str, Any]:
    """Return the specification's message as it travels: with its metadata."""
    sent: dict[str, Any] = json.loads(encode(decode_bare((MESSAGES / f"{name}.json").read_bytes(), now=NOW)))
    return sent


def test_the_committed_schemas_are_in_step_with_the_code() -> None:
    assert check(ROOT / "schemas") == (), "run: interlock schemas export --package interlock"


@pytest.mark.parametrize("name", [name for name in EXPORTED if ".v" in name])
def test_each_schema_is_a_valid_and_described_draft_2020_12_schema(name: str) -> None:
    schema = json.loads(EXPORTED[name])

    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$schema"]
    assert schema["$id"].startswith("urn:interlock:message:")
    assert schema["title"]
    assert schema["description"]


@pytest.mark.parametrize("name", ["infrastructure_ready", "deployment_environment_ready", "security_review_request"])
def test_a_message_of_the_specification_is_valid_once_it_has_its_metadata(name: str) -> None:
    validator(name).validate(completed(name))


@pytest.mark.parametrize("member", ["from", "to", "type", "payload", "id", "version", "sentAt", "conversationId"])
def test_what_agents_require_of_one_another_the_schema_requires(member: str) -> None:
    message = completed("infrastructure_ready")
    del message[member]

    assert [error.validator for error in validator("infrastructure_ready").iter_errors(message)] == ["required"]


def test_members_that_receivers_drop_are_allowed() -> None:
    message = completed("infrastructure_ready")
    message["payload"]["addedLater"] = True

    validator("infrastructure_ready").validate(message | {"addedLater": True})


@pytest.mark.parametrize(
    "path", sorted((MESSAGES / "wrong").glob("*.port-*.json")) + sorted((MESSAGES / "wrong").glob("*replicas*.json"))
)
def test_wrong_values_are_wrong_for_the_schema_too_but_for_what_json_schema_cannot_tell_apart(path: Path) -> None:
    name, _, problem = path.stem.partition(".")
    message = completed(name) | json.loads(path.read_bytes())

    cannot_tell = {"port-is-fractional", "port-twice"}
    assert validator(name).is_valid(message) == (problem in cannot_tell)


@pytest.mark.parametrize("message", tuple(CATALOGUE), ids=lambda message: message.declaration.type)
def test_what_the_strategies_of_other_tests_generate_is_valid(message: type[Message]) -> None:
    schema = validator(message.declaration.type)

    @settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(message_documents(message))
    def is_valid(document: dict[str, Any]) -> None:
        schema.validate(document)

    is_valid()


def test_attributes_are_described_by_the_text_below_them() -> None:
    schema = json.loads(EXPORTED["infrastructure_apply.v1.json"])

    described = schema["$defs"]["InfrastructureApply"]["properties"]["approvedBy"]["description"]
    assert described == "A person for production; the policy that allows it elsewhere."


def test_the_index_tells_what_each_message_is_for() -> None:
    entries = {entry["type"]: entry for entry in json.loads(EXPORTED["index.json"])["messages"]}

    assert len(entries) == len(CATALOGUE)
    assert entries["infrastructure_ready"] == {
        "type": "infrastructure_ready",
        "version": 1,
        "kind": "request",
        "route": {"from": ["devops-agent"], "to": ["backend-agent"]},
        "effect": "reversible",
        "replies": ["infrastructure_acknowledged", "task_declined"],
        "deadlineSeconds": 1800.0,
        "schema": "infrastructure_ready.v1.json",
    }


def test_the_same_catalogue_gives_the_same_bytes() -> None:
    assert export() == EXPORTED


def test_the_check_names_missing_outdated_and_unexpected_files(tmp_path: Path) -> None:
    for name, content in EXPORTED.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "index.json").unlink()
    (tmp_path / "plan_ready.v1.json").write_bytes(b"{}")
    (tmp_path / "forgotten.v1.json").write_bytes(b"{}")

    differences = check(tmp_path)

    assert differences == (
        Difference("forgotten.v1.json", "unexpected"),
        Difference("index.json", "missing"),
        Difference("plan_ready.v1.json", "outdated"),
    )
    assert str(differences[2]) == "plan_ready.v1.json: outdated"


def test_a_folder_that_does_not_exist_is_an_error_and_not_a_difference(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        check(tmp_path / "nowhere")


def test_a_message_that_is_neither_request_nor_reply_nor_event_cannot_be_exported() -> None:
    class Vague(Message, type="vague", route=Route.of("qa-agent", "devops-agent")):
        """Of no kind."""

    with pytest.raises(UsageError, match="Vague"):
        export(CATALOGUE.with_messages(Vague))


def test_a_teams_own_messages_are_exported_like_all_others() -> None:
    class CacheWarmed(Event, type="cache_warmed", route=Route.of("backend-agent", "devops-agent")):
        """A cache is warm."""

        entries: dict[str, int]
        """How many, by name."""

    schema = json.loads(export(CATALOGUE.with_messages(CacheWarmed))["cache_warmed.v1.json"])

    assert schema["description"] == "A cache is warm."
    assert schema["$defs"]["CacheWarmed"]["properties"]["entries"]["description"] == "How many, by name."
