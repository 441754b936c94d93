"""The AsyncAPI document: what the AsyncAPI project's own parser says to it, and that it is the catalogue."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from interlock.protocol import CATALOGUE, Event, Route, decode, encode
from interlock.protocol.asyncapi import asyncapi

ROOT = Path(__file__).parents[2]
DOCUMENT: dict[str, Any] = json.loads((ROOT / "schemas" / "asyncapi.json").read_bytes())
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]


@pytest.fixture(scope="session")
def parser() -> Path:
    """A folder with the parser, kept beside the Python packages."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        pytest.skip(f"the AsyncAPI parser runs on Node.js, and {' and '.join(missing)} cannot be found on the PATH")
    folder = Path(sys.prefix) / "asyncapi-parser"
    subprocess.run([ROOT / "deploy" / "install-asyncapi-parser.sh", folder], check=True, timeout=300)
    return folder


def parse(parser: Path, document: Path) -> tuple[int, list[dict[str, Any]]]:
    """Return the parser's verdict and its lines."""
    script = ROOT / "tests" / "asyncapi" / "validate.mjs"
    node = shutil.which("node")
    assert node is not None
    command = [node, str(script), str(parser), str(document)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.stderr == ""
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_the_asyncapi_parser_accepts_the_document(parser: Path) -> None:
    code, lines = parse(parser, ROOT / "schemas" / "asyncapi.json")

    *diagnostics, summary = lines
    assert code == 0, diagnostics
    assert [line["code"] for line in diagnostics if line["severity"] < 2] == []
    assert summary["version"] == "3.0.0"
    assert summary["messages"] == len(CATALOGUE)
    assert summary["operations"] == len(DOCUMENT["operations"])


@pytest.mark.slow
def test_the_parser_follows_every_reference(parser: Path, tmp_path: Path) -> None:
    folder = tmp_path / "schemas"
    shutil.copytree(ROOT / "schemas", folder)
    (folder / "infrastructure_ready.v1.json").unlink()

    code, lines = parse(parser, folder / "asyncapi.json")

    assert code == 1
    assert "components.messages.infrastructure_ready.v1.payload.$ref" in [line["path"] for line in lines]


def test_each_message_has_its_schema_its_effect_and_an_example_that_is_decoded_and_encoded_again() -> None:
    assert set(MESSAGES) == {f"{m.declaration.type}.v{m.declaration.version}" for m in CATALOGUE}
    for name, message in MESSAGES.items():
        declared = CATALOGUE.lookup(message["name"], 1).declaration
        (example,) = message["examples"]
        envelope = decode(json.dumps(example["payload"]).encode())
        assert (ROOT / "schemas" / message["payload"]["$ref"]).is_file(), name
        assert {"name": f"effect:{declared.effect}"} in message["tags"]
        assert json.loads(encode(envelope)) == example["payload"]
        assert CATALOGUE.allows(envelope.type, envelope.sender, envelope.receiver), name


def test_a_request_says_who_sends_it_where_and_what_may_answer_it() -> None:
    sent = DOCUMENT["operations"]["devops-agent.send.infrastructure_ready.to.backend-agent"]
    channel = DOCUMENT["channels"]["backend-agent.infrastructure_ready"]
    answers = [reference["$ref"].rpartition("/")[2] for reference in sent["reply"]["messages"]]

    assert sent["action"] == "send"
    assert sent["channel"] == {"$ref": "#/channels/backend-agent.infrastructure_ready"}
    assert channel["address"] == "backend-agent.infrastructure_ready"
    assert {"infrastructure_acknowledged.v1", "task_declined.v1", "task_failed.v1"} <= set(answers)
    assert DOCUMENT["operations"]["backend-agent.receive.infrastructure_ready"]["action"] == "receive"
    assert MESSAGES["infrastructure_ready.v1"]["x-deadline-seconds"] == 1800.0
    assert MESSAGES["infrastructure_acknowledged.v1"]["correlationId"] == {
        "$ref": "#/components/correlationIds/request"
    }


def test_two_versions_of_a_type_share_a_channel() -> None:
    class Second(Event, type="agent_offline", version=2, route=Route.of("*", "all")):
        """An agent has gone."""

    document = asyncapi(CATALOGUE.with_messages(Second), title="two", version="1")

    assert set(document["channels"]["all.agent_offline"]["messages"]) == {"agent_offline.v1", "agent_offline.v2"}
    assert len(document["operations"]["all.receive.agent_offline"]["messages"]) == 2
