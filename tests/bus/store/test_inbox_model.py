"""The inbox against a model of a few lines: whatever is done in whatever order, both say the same."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from bus.store.harness import PostgresHarness, SqliteHarness, StoreHarness
from interlock.bus.clock import VirtualClock
from interlock.bus.errors import LeaseLostError
from interlock.bus.store.records import Claim, Commit, Receipt, Repair
from store_rows import incoming

Result = TypeVar("Result")

LEASE = 10.0
CONVERSATIONS = 3


@dataclass
class Line:
    """What the model knows of one message."""

    message_id: str
    conversation: str
    state: str = "ready"
    attempts: int = 0
    not_before: float = 0.0
    lease_until: float = 0.0
    fence: int = 0


@dataclass
class Model:
    """The inbox as a list."""

    lines: list[Line] = field(default_factory=list[Line])
    fence: int = 0

    def expire(self, now: float) -> None:
        for line in self.lines:
            if line.state == "leased" and line.lease_until <= now:
                line.state = "ready"

    def claim(self, limit: int, now: float) -> list[Line]:
        self.expire(now)
        claimed: list[Line] = []
        for number in range(CONVERSATIONS):
            mine = [line for line in self.lines if line.conversation == f"c{number}"]
            head = next((line for line in mine if line.state in {"ready", "leased"}), None)
            busy = any(line.state == "leased" for line in mine)
            if head is not None and not busy and head.not_before <= now:
                claimed.append(head)
        claimed = sorted(claimed, key=self.lines.index)[:limit]
        for line in claimed:
            self.fence += 1
            line.state, line.fence, line.lease_until, line.not_before = "leased", self.fence, now + LEASE, 0.0
            line.attempts += 1
        return claimed

    def holds(self, claim: Claim) -> Line | None:
        return next((line for line in self.lines if line.state == "leased" and line.fence == claim.fence), None)

    def has_ended(self, claim: Claim, state: str) -> bool:
        return any(line.state == state and line.fence == claim.fence for line in self.lines)

    def count(self, state: str) -> int:
        return sum(line.state == state for line in self.lines)


class InboxMachine(RuleBasedStateMachine):
    """Drives a real store and the model side by side."""

    def __init__(self, harness: StoreHarness) -> None:
        super().__init__()
        self.harness = harness
        self.runner = asyncio.Runner()
        self.clock = VirtualClock()
        self.model = Model()
        self.claims: list[Claim] = []
        self.open()

    def open(self) -> None:
        self.store = self.run(self.harness.open(self.clock))

    def run(self, step: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(step)

    def ended(self, claim: Claim, step: Coroutine[Any, Any, None], *, end: str = "") -> Line | None:
        """Take a step that ends a claim; both sides agree on whether it is still held, or has ended so before."""
        line = self.model.holds(claim)
        if line is None and end and self.model.has_ended(claim, end):
            self.run(step)
        elif line is None:
            with pytest.raises(LeaseLostError):
                self.run(step)
        else:
            self.run(step)
        return line

    @rule(number=st.integers(0, 8))
    def receive(self, number: int) -> None:
        known = any(line.message_id == f"m{number}" for line in self.model.lines)
        conversation = f"c{number % CONVERSATIONS}"
        receipt = self.run(self.store.receive(incoming(f"m{number}", conversation=conversation)))
        assert receipt is (Receipt.DUPLICATE if known else Receipt.NEW)
        if not known:
            self.model.lines.append(Line(f"m{number}", conversation))

    @rule(limit=st.integers(0, 4))
    def claim(self, limit: int) -> None:
        expected = self.model.claim(limit, self.clock.monotonic())
        claims = self.run(self.store.claim(limit=limit, lease=LEASE))
        assert [(claim.message.message_id, claim.attempt, claim.fence) for claim in claims] == [
            (line.message_id, line.attempts, line.fence) for line in expected
        ]
        self.claims.extend(claims)

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        if self.claims:
            claim = data.draw(st.sampled_from(self.claims))
            if line := self.ended(claim, self.store.finish(claim, Commit()), end="done"):
                line.state = "done"

    @rule(data=st.data(), delay=st.sampled_from([0, 5, 20]))
    def retry(self, data: st.DataObject, delay: int) -> None:
        if self.claims:
            claim = data.draw(st.sampled_from(self.claims))
            due = self.clock.now() + timedelta(seconds=delay)
            if line := self.ended(claim, self.store.retry(claim, not_before=due, error="again")):
                line.state, line.not_before = "ready", self.clock.monotonic() + delay

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if self.claims:
            claim = data.draw(st.sampled_from(self.claims))
            if line := self.ended(claim, self.store.release(claim)):
                line.state, line.attempts = "ready", line.attempts - 1

    @rule(data=st.data())
    def bury(self, data: st.DataObject) -> None:
        if self.claims:
            claim = data.draw(st.sampled_from(self.claims))
            if line := self.ended(claim, self.store.bury(claim, error="no"), end="dead"):
                line.state = "dead"

    @rule()
    def revive(self) -> None:
        for dead in self.run(self.store.dead(limit=1)):
            self.run(self.store.revive(dead.seq, Repair(by="dana")))
            line = next(line for line in self.model.lines if line.message_id == dead.message.message_id)
            line.state, line.attempts, line.not_before = "ready", 0, 0.0

    @rule()
    def renew(self) -> None:
        held = [claim for claim in self.claims if self.model.holds(claim)]
        renewed = self.run(self.store.renew(self.claims, lease=LEASE))
        assert [claim.fence for claim in renewed] == [claim.fence for claim in held]
        for claim in held:
            line = self.model.holds(claim)
            assert line is not None
            line.lease_until = self.clock.monotonic() + LEASE

    @rule(seconds=st.sampled_from([1, 5, 10, 30]))
    def wait(self, seconds: int) -> None:
        self.run(self.clock.advance(seconds))

    @rule()
    def reopen(self) -> None:
        self.run(self.store.aclose())
        self.open()
        if isinstance(self.harness, SqliteHarness):  # the file's lock proves that the former owner is dead
            self.model.expire(float("inf"))

    @invariant()
    def both_count_the_same(self) -> None:
        counts = self.run(self.store.counts())
        assert (counts.ready, counts.leased, counts.dead) == tuple(map(self.model.count, ("ready", "leased", "dead")))

    def teardown(self) -> None:
        self.run(self.store.aclose())
        self.runner.close()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def test_the_inbox_is_as_its_model_says(
    kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    def fresh() -> StoreHarness:
        if kind == "sqlite":
            return SqliteHarness(tmp_path_factory.mktemp("store") / "agent.db")
        return PostgresHarness(request.getfixturevalue("postgres"))

    run_state_machine_as_test(
        lambda: InboxMachine(fresh()),  # type: ignore[arg-type] # it calls whatever makes a machine
        settings=settings(
            max_examples=40 if kind == "sqlite" else 15,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
