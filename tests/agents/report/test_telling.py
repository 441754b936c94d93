"""What is told of a message: something for every type, on one harmless line, whatever the message contains."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, reject, settings
from hypothesis import strategies as st

from interlock.agents.report.narration import Narrator
from interlock.agents.report.sequence import sequence
from interlock.agents.report.telling import telling
from interlock.protocol import CATALOGUE, InvalidMessageError, Message, decode
from interlock.protocol.messages.change import CostEstimateReady
from interlock.protocol.messages.handoff import InfrastructureReady
from interlock.protocol.messages.provisioning import PlanReady
from interlock.protocol.recording import read
from message_strategies import message_documents

SPOKEN = [message for message in CATALOGUE if not message.__module__.endswith(".presence")]


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(st.sampled_from(SPOKEN).flatmap(message_documents))
def test_any_message_of_the_catalogue_is_one_harmless_line_and_one_arrow(document: dict[str, Any]) -> None:
    try:
        envelope = decode(json.dumps(document).encode())
    except InvalidMessageError:
        reject()  # what a schema cannot say, e.g. that a fast volume has at least 100 GB
    stream = io.StringIO()

    Narrator(stream, started=datetime(2026, 1, 1, tzinfo=UTC)).message(envelope)

    assert stream.getvalue().count("\n") == 1
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", stream.getvalue())
    assert sequence([envelope]).count("data-message=") == 1


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        (CostEstimateReady, "143.81 USD a month"),
        (PlanReady, "1 to create, 1 to update, 1 to destroy; sha256:aaaaaaaaaaaa"),
        (InfrastructureReady, "RDS PostgreSQL at prod-db.abc123.ap-northeast-2.rds.amazonaws.com:5432"),
    ],
)
def test_the_detail_is_the_one_that_tells_most(kind: type[Message], detail: str, recording: bytes) -> None:
    message = next(envelope.payload for envelope in read(recording) if isinstance(envelope.payload, kind))

    assert telling(message) == detail
