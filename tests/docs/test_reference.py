"""What is said about messages and settings is what the code says."""

from __future__ import annotations

import json
import re

import pytest

from docs.command_reference import DOCUMENT as COMMANDS
from docs.command_reference import command_reference
from docs.error_reference import DOCUMENT as ERRORS
from docs.error_reference import error_reference
from docs.settings_reference import DOCUMENT, settings_reference, table_of
from docs.snippets import ROOT
from interlock.agents.cli.output import ExitCode
from interlock.protocol import CATALOGUE, decode, encode
from interlock.protocol.errors import RejectionCode
from interlock.protocol.reference import message_reference

MESSAGES = ROOT / "docs" / "messages.md"


def test_the_messages_are_those_of_the_catalogue() -> None:
    assert MESSAGES.read_text() == message_reference(CATALOGUE, package="interlock", own=True), (
        "run: interlock schemas docs --package interlock > docs/messages.md"
    )


def test_every_example_is_a_message_that_is_decoded_and_encoded_again() -> None:
    examples = re.findall(r"(?ms)^### (\w+), version (\d+)$.*?^```json\n(.*?)^```$", MESSAGES.read_text())

    assert {(name, int(version)) for name, version, _ in examples} == {
        (message.declaration.type, message.declaration.version) for message in CATALOGUE
    }
    for name, version, example in examples:
        envelope = decode(example.encode())
        assert (envelope.type, envelope.version) == (name, int(version))
        assert json.loads(encode(envelope)) == json.loads(example)


def test_every_value_that_a_message_refers_to_is_described() -> None:
    document = MESSAGES.read_text()
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"(?m)^##+ (.+)$", document)}

    assert set(re.findall(r"\]\(#([^)]+)\)", document)) - headings == set()


def test_the_settings_are_those_of_the_code() -> None:
    assert table_of(DOCUMENT.read_text()) == settings_reference(), (
        "run: PYTHONPATH=tests python -m docs.settings_reference"
    )


@pytest.mark.parametrize("code", ExitCode)
def test_every_exit_code_is_documented(code: ExitCode) -> None:
    assert f"| {code.value} |" in DOCUMENT.read_text()


def test_the_commands_are_those_of_the_command_line() -> None:
    assert COMMANDS.read_text() == command_reference(), "run: make reference"


def test_the_errors_are_those_of_the_code() -> None:
    assert ERRORS.read_text() == error_reference(), "run: make reference"


@pytest.mark.parametrize("code", RejectionCode)
def test_every_rejection_code_says_what_it_means(code: RejectionCode) -> None:
    row = next(line for line in ERRORS.read_text().splitlines() if line.startswith(f"| `{code}` |"))

    assert row.endswith(". |")
