"""The specification's own messages, byte for byte, and many ways to get them wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from interlock.protocol import CATALOGUE, InvalidMessageError, decode, decode_bare, encode

NOW = datetime(2026, 1, 31, 9, tzinfo=UTC)
MESSAGES = Path(__file__).parent.parent / "fixtures" / "messages"
SPECIFIED = ("infrastructure_ready", "deployment_environment_ready", "security_review_request")

PROBLEMS = {
    "deployment_environment_ready.cluster-with-quote": "payload.cluster",
    "deployment_environment_ready.cpu-is-number": "payload.resources.cpu",
    "deployment_environment_ready.list-around-message": "not_an_object",
    "deployment_environment_ready.memory-with-unknown-unit": "payload.resources.memory",
    "deployment_environment_ready.monitoring-missing": "payload.monitoring",
    "deployment_environment_ready.namespace-upper-case": "payload.namespace",
    "deployment_environment_ready.namespace-with-option": "payload.namespace",
    "deployment_environment_ready.payload-is-list": "payload",
    "deployment_environment_ready.prometheus-url-missing": "payload.monitoring.prometheusUrl",
    "deployment_environment_ready.replicas-is-text": "payload.resources.replicas",
    "deployment_environment_ready.replicas-zero": "payload.resources.replicas",
    "deployment_environment_ready.secret-name-with-space": "payload.secrets[1]",
    "deployment_environment_ready.secrets-is-text": "payload.secrets",
    "infrastructure_ready.connection-is-null": "payload.connection",
    "infrastructure_ready.deadline-in-year-9999": "deadline",
    "infrastructure_ready.endpoint-with-scheme": "payload.connection.endpoint",
    "infrastructure_ready.environment-unknown": "payload.environment",
    "infrastructure_ready.from-missing": "from",
    "infrastructure_ready.from-with-cyrillic-letter": "from",
    "infrastructure_ready.hops-over-limit": "hops",
    "infrastructure_ready.id-not-canonical": "id",
    "infrastructure_ready.jira-issue-lower-case": "payload.jiraIssue",
    "infrastructure_ready.jira-issue-missing": "payload.jiraIssue",
    "infrastructure_ready.max-connections-nan": "number_out_of_range",
    "infrastructure_ready.max-connections-zero": "payload.configuration.maxConnections",
    "infrastructure_ready.names-in-snake-case": "payload.jiraIssue",
    "infrastructure_ready.payload-missing": "payload",
    "infrastructure_ready.port-is-boolean": "payload.connection.port",
    "infrastructure_ready.port-is-fractional": "payload.connection.port",
    "infrastructure_ready.port-is-text": "payload.connection.port",
    "infrastructure_ready.port-out-of-range": "payload.connection.port",
    "infrastructure_ready.port-twice": "port",
    "infrastructure_ready.resource-empty": "payload.resource",
    "infrastructure_ready.resource-is-too-long": "payload.resource",
    "infrastructure_ready.resource-with-zero-width-space": "payload.resource",
    "infrastructure_ready.secret-name-with-interpolation": "payload.connection.secretName",
    "infrastructure_ready.sent-at-without-zone": "sentAt",
    "infrastructure_ready.timeout-is-number": "payload.configuration.connectionTimeout",
    "infrastructure_ready.timeout-without-unit": "payload.configuration.idleTimeout",
    "infrastructure_ready.to-is-a-wildcard": "to",
    "infrastructure_ready.to-missing": "to",
    "infrastructure_ready.to-with-line-break": "to",
    "infrastructure_ready.type-missing": "type",
    "infrastructure_ready.type-unknown": "type",
    "infrastructure_ready.version-is-text": "version",
    "infrastructure_ready.version-unknown": "version",
    "security_review_request.comma-missing": "not_json",
    "security_review_request.concern-is-number": "payload.concerns[1]",
    "security_review_request.concern-with-bidirectional-override": "payload.concerns[0]",
    "security_review_request.conversation-id-is-issue-key": "conversationId",
    "security_review_request.cut-off": "not_json",
    "security_review_request.from-is-null": "from",
    "security_review_request.jira-issue-with-jql": "payload.jiraIssue",
    "security_review_request.resources-is-object": "payload.resources",
    "security_review_request.scope-is-list": "payload.scope",
    "security_review_request.scope-missing": "payload.scope",
    "security_review_request.terraform-null": "payload.terraform",
}
"""What is named as wrong, by file: the path, or the code where the bytes as a whole are at fault."""


@pytest.mark.parametrize("name", SPECIFIED)
def test_a_message_of_the_specification_is_accepted_as_written(name: str) -> None:
    written = (MESSAGES / f"{name}.json").read_bytes()

    envelope = decode_bare(written, now=NOW)

    sent = json.loads(encode(envelope))
    assert {member: sent[member] for member in ("from", "to", "type", "payload")} == json.loads(written)
    assert decode(encode(envelope)) == envelope


@pytest.mark.parametrize("name", SPECIFIED)
def test_a_message_of_the_specification_goes_from_and_to_whom_its_route_says(name: str) -> None:
    envelope = decode_bare((MESSAGES / f"{name}.json").read_bytes(), now=NOW)

    assert CATALOGUE.routes()[name].allows(envelope.sender, envelope.receiver)


@pytest.mark.parametrize("name", SPECIFIED)
def test_between_agents_the_specifications_form_lacks_its_metadata(name: str) -> None:
    with pytest.raises(InvalidMessageError):
        decode((MESSAGES / f"{name}.json").read_bytes())


def test_every_wrong_message_is_listed_with_its_problem() -> None:
    assert {path.stem for path in (MESSAGES / "wrong").glob("*.json")} == PROBLEMS.keys()
    assert {stem.partition(".")[0] for stem in PROBLEMS} == set(SPECIFIED)


@pytest.mark.parametrize("stem", PROBLEMS)
def test_a_wrong_message_gets_one_clear_line_that_names_the_path(stem: str) -> None:
    with pytest.raises(InvalidMessageError) as caught:
        decode_bare((MESSAGES / "wrong" / f"{stem}.json").read_bytes(), now=NOW)

    line = str(caught.value)
    assert PROBLEMS[stem] == (caught.value.path or caught.value.code)
    assert line.startswith(caught.value.path or "message: ")
    assert line.isprintable()
    assert line.isascii()
    assert len(line) < 200
