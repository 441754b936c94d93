"""Which frames acknowledge which deliveries, whatever the order in which they are settled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from interlock.bus.rabbitmq.tap.acks import Acks


class Channel:
    """What the broker makes of the frames: it closes a channel that settles what is not outstanding."""

    def __init__(self, delivered: int) -> None:
        self.outstanding = set(range(1, delivered + 1))
        self.acked: set[int] = set()

    def multiple(self, tag: int) -> None:
        assert tag in self.outstanding, f"PRECONDITION_FAILED - unknown delivery tag {tag}"
        covered = {each for each in self.outstanding if each <= tag}
        self.outstanding -= covered
        self.acked |= covered

    def single(self, tag: int, *, acked: bool) -> None:
        assert tag in self.outstanding, f"PRECONDITION_FAILED - unknown delivery tag {tag}"
        self.outstanding.discard(tag)
        if acked:
            self.acked.add(tag)


@given(
    st.integers(1, 40).flatmap(
        lambda count: st.tuples(
            st.permutations(range(1, count + 1)),
            st.lists(st.sampled_from(["ack", "ack", "ack", "reject"]), min_size=count, max_size=count),
            st.lists(st.sampled_from(["", "", "turn", "late"]), min_size=count, max_size=count),
        )
    )
)
def test_every_delivery_is_settled_exactly_once_and_as_it_was_asked_for(
    run: tuple[list[int], list[str], list[str]],
) -> None:
    order, deeds, moments = run
    acks, channel = Acks(), Channel(len(order))

    def end_of_turn(*, late: bool) -> None:
        if tag := acks.take_multiple():
            channel.multiple(tag)
        if late:
            for waiting in acks.take_waiting():
                channel.single(waiting, acked=True)

    settled: set[int] = set()
    for tag, deed, moment in zip(order, deeds, moments, strict=True):
        if deed == "ack":
            acks.ack(tag)
            settled.add(tag)
        else:
            channel.single(tag, acked=False)
            acks.settle_singly(tag)
        if moment:
            end_of_turn(late=moment == "late")
        assert channel.acked <= settled, "what nobody has acknowledged was acknowledged"
    end_of_turn(late=True)
    assert channel.outstanding == set()
    assert channel.acked == settled
    assert not acks.are_waiting


def test_a_turn_in_order_costs_one_frame() -> None:
    acks = Acks()
    for tag in range(1, 101):
        acks.ack(tag)
    assert acks.take_multiple() == 100
    assert acks.take_multiple() == 0


def test_what_waits_behind_a_slower_one_goes_with_it_when_it_comes() -> None:
    acks = Acks()
    for tag in (2, 3, 4):
        acks.ack(tag)
    assert acks.take_multiple() == 0
    assert acks.are_waiting
    acks.ack(1)
    assert acks.take_multiple() == 4
    assert not acks.are_waiting
