"""The inbox against a model of a few lines: whatever is done in whatever order, both say the same."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from interlock.bus.clock import VirtualClock
from interlock.bus.errors import LeaseLostError
from interlock.bus.store.records import Claim, Commit, Receipt, Repair
from interlock.bus.store.sqlite import SqliteStore
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

    def count(self, state: str) -> int:
        return sum(line.state == state for line in self.lines)


class InboxMachine(RuleBasedStateMachine):
    """Drives a real store and the model side by side."""

    @initialize()
    def start(self) -> None:
        self.directory = tempfile.TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.clock = VirtualClock()
        self.model = Model()
        self.claims: list[Claim] = []
        self.open()

    def open(self) -> None:
        path = Path(self.directory.name) / "agent.db"
        self.store = self.run(SqliteStore.open(path, agent="devops-agent", clock=self.clock))

    def run(self, step: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(step)

    def ended(self, claim: Claim, step: Coroutine[Any, Any, None]) -> Line | None:
        """Take a step that ends a claim; both sides agree on whether it is still held."""
        line = self.model.holds(claim)
        if line is None:
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
            if line := self.ended(claim, self.store.finish(claim, Commit())):
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
            if line := self.ended(claim, self.store.bury(claim, error="no")):
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
        self.model.expire(float("inf"))

    @invariant()
    def both_count_the_same(self) -> None:
        counts = self.run(self.store.counts())
        assert (counts.ready, counts.leased, counts.dead) == tuple(map(self.model.count, ("ready", "leased", "dead")))

    def teardown(self) -> None:
        self.run(self.store.aclose())
        self.runner.close()
        self.directory.cleanup()


TestInbox = InboxMachine.TestCase
TestInbox.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
