"""Every publish gets its own outcome, in whichever order and groups the broker confirms."""

from __future__ import annotations

import asyncio
from random import Random

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.bus.rabbitmq.tap.confirms import Confirms
from interlock.bus.rabbitmq.verdict import LOST, REFUSED, SILENT, STORED, Outcome, Verdict

LONG = 3600.0
UNROUTABLE = Outcome(Verdict.UNROUTABLE)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40), st.randoms())
def test_groups_and_single_words_in_any_order(words: list[tuple[bool, bool]], random: Random) -> None:
    """`words`: for each publish whether it is stored, and whether it is said of all up to it."""

    async def run() -> None:
        confirms = Confirms(asyncio.get_running_loop())
        futures = [confirms.expect(str(number), within=LONG) for number in range(1, len(words) + 1)]
        expected: dict[int, Outcome] = {}
        order = list(range(1, len(words) + 1))
        random.shuffle(order)
        for tag in order:
            stored, multiple = words[tag - 1]
            concerned = range(1, tag + 1) if multiple else range(tag, tag + 1)
            for each in concerned:
                expected.setdefault(each, STORED if stored else REFUSED)
            confirms.confirm(tag, multiple=multiple, stored=stored)
        assert {number: future.result() for number, future in enumerate(futures, 1)} == expected
        assert len(confirms) == 0
        confirms.end()

    asyncio.run(run())


async def test_a_return_is_its_own_publishs_and_the_confirm_that_follows_changes_nothing() -> None:
    confirms = Confirms(asyncio.get_running_loop())
    first, second, third = (confirms.expect(name, within=LONG) for name in ("a/1", "b/1", "a/2"))
    confirms.returned("a/2", UNROUTABLE)
    confirms.returned("unknown", UNROUTABLE)
    confirms.confirm(3, multiple=True, stored=True)
    assert [each.result() for each in (first, second, third)] == [STORED, STORED, UNROUTABLE]


async def test_the_end_of_the_channel_is_everybodys_outcome() -> None:
    confirms = Confirms(asyncio.get_running_loop())
    confirmed, cancelled, open_ = (confirms.expect(name, within=LONG) for name in "abc")
    confirms.confirm(1, multiple=False, stored=True)
    cancelled.cancel()
    confirms.end()
    assert (confirmed.result(), open_.result()) == (STORED, LOST)


@pytest.mark.parametrize("later_first", [False, True])
async def test_each_deadline_is_kept_by_one_timer(later_first: bool) -> None:
    confirms = Confirms(asyncio.get_running_loop())
    deadlines = {"soon": 0.05, "later": 0.3, "never": LONG}
    names = ("never", "later", "soon") if later_first else ("soon", "later", "never")
    futures = {name: confirms.expect(name, within=deadlines[name]) for name in names}
    with anyio.fail_after(10):
        assert await futures["soon"] is SILENT
        assert not futures["later"].done()
        assert await futures["later"] is SILENT
    assert not futures["never"].done()
    # The broker's late word is nobody's any more, and the numbers still agree.
    confirms.confirm(names.index("soon") + 1, multiple=False, stored=True)
    confirms.confirm(names.index("never") + 1, multiple=False, stored=True)
    assert futures["never"].result() is STORED
    confirms.end()


async def test_publishes_in_a_hurry_put_off_nobodys_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    began = now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    confirms = Confirms(loop)
    first = confirms.expect("first", within=0.0)
    while not first.done() and now < began + 1.0:
        confirms.expect("hurried", within=0.0)
        now += 0.01
        await asyncio.sleep(0)
    assert now < began + 0.1
    assert await first is SILENT
    confirms.end()
