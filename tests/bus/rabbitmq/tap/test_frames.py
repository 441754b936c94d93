"""Frames as another decoder reads them, whatever the size of what they carry."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import body, commands, frame, header

from bus.harness import outgoing
from interlock.bus.rabbitmq.tap import frames

CHANNEL = 515
LARGEST = 4096 - frames.OVERHEAD


def decoded(data: bytes) -> list[object]:
    """Return the frames in these bytes, each of this channel and none larger than agreed on."""
    found: list[object] = []
    while data:
        size, channel, one = frame.unmarshal(data)
        assert channel == CHANNEL
        assert size <= LARGEST + frames.OVERHEAD
        found.append(one)
        data = data[size:]
    return found


@given(st.sampled_from([0, 1, *(n * LARGEST + d for n in (1, 2, 3) for d in (-9, -8, -1, 0, 1, 8))]))
def test_a_body_is_cut_where_the_frame_ends_and_nowhere_else(size: int) -> None:
    message = outgoing(bytes(index % 251 for index in range(size)))
    content = frames.content_header(message, frames.header_ending(message), message_id="id/1")
    head, *parts = decoded(b"".join(frames.content(CHANNEL, content, message.body, largest=LARGEST)))
    assert isinstance(head, header.ContentHeader)
    assert head.body_size == size
    pieces = [part.value for part in parts if isinstance(part, body.ContentBody)]
    assert len(pieces) == len(parts) == -(-size // LARGEST)
    assert b"".join(pieces) == message.body


@pytest.mark.parametrize("mandatory", [False, True])
def test_an_address(mandatory: bool) -> None:
    [publish] = decoded(frames.address_of(CHANNEL, "exchange", "beta-agent.ping", mandatory=mandatory))
    assert isinstance(publish, commands.Basic.Publish)
    assert (publish.exchange, publish.routing_key) == ("exchange", "beta-agent.ping")
    assert (publish.mandatory, publish.immediate) == (mandatory, False)


@given(st.integers(1, 2**63 - 1), st.booleans())
def test_settles(tag: int, flag: bool) -> None:
    [ack] = decoded(frames.ack(CHANNEL, tag, multiple=flag))
    [reject] = decoded(frames.reject(CHANNEL, tag, requeue=flag))
    assert isinstance(ack, commands.Basic.Ack)
    assert isinstance(reject, commands.Basic.Reject)
    assert (ack.delivery_tag, ack.multiple) == (reject.delivery_tag, reject.requeue) == (tag, flag)


def test_a_short_text_that_is_too_long_is_refused_before_anything_is_written() -> None:
    with pytest.raises(ValueError, match="range"):
        frames.short_string("x" * 256)
