"""Where spans stand follows from ids alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from interlock.bus.trace_context import hop, parse, render, root
from interlock.protocol.ids import conversation_of, new_id

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_a_traceparent_is_read_and_written_alike() -> None:
    assert render(parse(TRACEPARENT)) == TRACEPARENT
    assert parse(TRACEPARENT).is_remote


def test_a_conversation_s_trace_has_its_id() -> None:
    conversation = conversation_of("PROJ-140")

    context = root(conversation, sampled=True)

    assert f"{context.trace_id:032x}" == conversation.replace("-", "")
    assert context == root(conversation, sampled=True)
    assert context.trace_flags.sampled
    assert not root(conversation, sampled=False).trace_flags.sampled


@given(st.uuids(), st.integers(min_value=1, max_value=2**64 - 1))
def test_who_wrote_a_message_is_found_from_what_it_carries(message: object, writer: int) -> None:
    written = parse(f"00-{'ab' * 16}-{writer:016x}-00")

    carried = hop(written, str(message))

    assert hop(carried, str(message)) == written
    assert carried.trace_id == written.trace_id
    assert carried.trace_flags == written.trace_flags


def test_the_first_message_of_a_conversation_named_after_it_has_a_span_of_its_own() -> None:
    conversation = new_id()
    begun = root(conversation, sampled=True)

    carried = hop(begun, conversation)

    assert carried.is_valid
    assert carried.span_id != begun.span_id
