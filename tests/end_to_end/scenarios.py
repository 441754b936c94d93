"""The conversations of the corpus, each provoked in the sandbox; `test_recordings.py` plays them and keeps them."""

from __future__ import annotations

__all__ = ["SCENARIOS", "Scenario", "played"]

import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio

from end_to_end.desk import Desk, denial, grant
from end_to_end.losing_proxy import LosingProxy
from end_to_end.movable_clock import MovableClock
from end_to_end.outside import FIXTURES, Outside, ticket
from interlock.agents.demo.people import People
from interlock.agents.demo.stage import MemoryStage
from interlock.bus.recorder import recorded
from interlock.bus.store.opening import open_reader
from interlock.protocol.envelope import Envelope
from interlock.protocol.message import Message
from interlock.protocol.messages.approval import ApprovalRefused, ApprovalRequest
from interlock.protocol.messages.change import ChangeConcluded, ChangeOutcome, EscalationRaised
from interlock.protocol.messages.task import InputProvided, InputRequired, TaskCancelled
from interlock.protocol.redaction import Redaction
from interlock.protocol.roles import TEAM
from interlock.protocol.selection import Selection

_OTHER_DIGEST = f"sha256:{'0' * 64}"
_MANY = 3


@dataclass
class Scene:
    """Where one scenario plays."""

    desk: Desk
    outside: Outside
    clock: MovableClock
    issue: str = ""

    async def begin(self, name: str, *, identifier: str | None = None, **replaced: str) -> None:
        """Raise a ticket and ask for its change."""
        replacing = {old.replace("_", "-"): new for old, new in replaced.items()}
        self.issue = await self.outside.raise_issue(ticket(name, identifier=identifier, replacing=replacing))
        await self.desk.ask_for(self.issue)

    async def say(self, message: Message) -> None:
        await self.desk.say(message, issue=self.issue)

    async def asked(self) -> ApprovalRequest:
        return await self.desk.hear(ApprovalRequest, issue=self.issue)

    async def refused(self) -> str:
        return (await self.desk.hear(ApprovalRefused, issue=self.issue)).code

    async def ended(self, outcome: ChangeOutcome) -> None:
        end = await self.desk.hear(ChangeConcluded, issue=self.issue)
        assert end.outcome is outcome, end.reason

    async def go_on(self, outcome: ChangeOutcome) -> None:
        """Let people approve everything until the end."""
        end = await self.desk.go_on(self.issue, people=People(answers=None, ask=_yes))
        assert end.outcome is outcome, end.reason


async def _yes(_question: str) -> bool:
    return True


@dataclass(frozen=True)
class Scenario:
    """One conversation: how it is provoked, and what is different about its team."""

    play: Callable[[Scene], Awaitable[None]]
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict[str, Mapping[str, Any]])
    """Sections of the settings that are changed."""
    loses: tuple[str, ...] = ()
    """The answer to the first request to AWS with all these words is lost on its way."""
    races: bool = False
    """It ends by one peer's no, while the others may or may not have answered yet."""


async def played(scenario: Scenario, directory: Path, outside: Outside) -> tuple[Envelope[Message], ...]:
    """Play a scenario to its end, and return what `interlock record` reads from the stores of its team."""
    changed: dict[str, Any] = {name: dict(section) for name, section in scenario.settings.items()}
    clock = MovableClock()
    async with AsyncExitStack() as stack:
        if scenario.loses:
            proxy = LosingProxy(outside.settings["aws"]["endpoint_url"], words=scenario.loses)
            changed["aws"] = {"endpoint_url": (await stack.enter_async_context(proxy)).url}
        settings = dict(outside.settings)
        for name, section in changed.items():
            settings[name] = {**settings.get(name, {}), **section}
        stage = await stack.enter_async_context(MemoryStage(directory, settings=settings, clock=clock))
        scene = Scene(await stack.enter_async_context(Desk.at(stage, clock=clock)), outside, clock)
        await scenario.play(scene)
        bodies: list[bytes] = []
        for name in TEAM:
            with open_reader(stage.settings.store_address(name), agent=name) as reader:
                bodies += reader.messages()
    return Redaction().apply(recorded(bodies, selection=Selection.of(conversations=(scene.issue,))))


def _answers(name: str) -> dict[str, str]:
    content: dict[str, str] = json.loads((FIXTURES / f"{name}.answers.json").read_text())
    return content


async def _accepted(scene: Scene) -> None:
    await scene.begin("proj-140", identifier="prod-recorded")
    await scene.say(grant(await scene.asked(), by="budget-owner"))
    await scene.say(grant(await scene.asked()))
    await scene.ended(ChangeOutcome.ACCEPTED)


async def _accepted_within_budget(scene: Scene) -> None:
    await scene.begin("english-markdown", staging_orders="staging-recorded")
    await scene.go_on(ChangeOutcome.ACCEPTED)


async def _asked_many_times(scene: Scene) -> None:
    await scene.begin("english-markdown", staging_orders="staging-repeated")
    async with anyio.create_task_group() as tasks:
        for _ in range(_MANY):
            tasks.start_soon(scene.desk.ask_for, scene.issue)
    await scene.go_on(ChangeOutcome.ACCEPTED)


async def _input_required(scene: Scene) -> None:
    await scene.begin("missing-facts")
    given = _answers("missing-facts")
    kept_back = dict([given.popitem()])
    for answers in (given, kept_back):
        await scene.desk.hear(InputRequired, issue=scene.issue)
        await scene.say(InputProvided(answers=answers))
    await scene.go_on(ChangeOutcome.ACCEPTED)


async def _contradiction(scene: Scene) -> None:
    await scene.begin("contradiction", identifier="prod-contradicted")
    await scene.desk.hear(InputRequired, issue=scene.issue)
    await scene.say(InputProvided(answers=_answers("contradiction")))
    await scene.go_on(ChangeOutcome.ACCEPTED)


async def _unsupported(scene: Scene) -> None:
    await scene.begin("unsupported-oracle", identifier="staging-oracle")
    await scene.ended(ChangeOutcome.DECLINED)


async def _cancelled(scene: Scene) -> None:
    await scene.begin("over-budget", identifier="prod-cancelled")
    await scene.asked()
    await scene.say(TaskCancelled(reason="the project was stopped"))
    await scene.ended(ChangeOutcome.DECLINED)


async def _budget_denied(scene: Scene) -> None:
    await scene.begin("over-budget", identifier="prod-too-dear")
    await scene.say(denial(await scene.asked(), by="budget-owner", reason="too dear"))
    await scene.ended(ChangeOutcome.DECLINED)


async def _plan_denied(scene: Scene) -> None:
    await scene.begin("proj-140", identifier="prod-frozen")
    await scene.say(grant(await scene.asked(), by="budget-owner"))
    await scene.say(denial(await scene.asked(), reason="not before the freeze ends"))
    await scene.ended(ChangeOutcome.DECLINED)


async def _wrong_approvals(scene: Scene) -> None:
    await scene.begin("proj-140", identifier="prod-guarded")
    budget = await scene.asked()
    await scene.say(grant(budget, by="product-owner"))
    codes = [await scene.refused()]
    await scene.say(grant(budget, by="budget-owner"))
    plan = await scene.asked()
    for wrong in (grant(plan, digest=_OTHER_DIGEST), grant(plan, by="devops-agent"), grant(budget, by="budget-owner")):
        await scene.say(wrong)
        codes.append(await scene.refused())
    assert codes == ["own_change", "other_digest", "not_a_person", "already_used"]
    await scene.say(grant(plan))
    await scene.ended(ChangeOutcome.ACCEPTED)


async def _asked_again(scene: Scene) -> None:
    await scene.begin("over-budget", identifier="prod-slow")
    late = await scene.asked()
    scene.clock.move(minutes=31)
    await scene.desk.hear(EscalationRaised, issue=scene.issue)
    fresh = await scene.asked()
    await scene.say(grant(late, by="budget-owner"))
    assert await scene.refused() == "already_void"
    await scene.say(denial(fresh, by="budget-owner", reason="not this quarter"))
    await scene.ended(ChangeOutcome.DECLINED)


async def _expired(scene: Scene) -> None:
    await scene.begin("over-budget", identifier="prod-unanswered")
    await scene.asked()
    scene.clock.move(minutes=31)
    await scene.desk.hear(EscalationRaised, issue=scene.issue)
    scene.clock.move(minutes=31)
    await scene.ended(ChangeOutcome.EXPIRED)


async def _security_rejected(scene: Scene) -> None:
    await scene.begin("public-production", identifier="prod-exposed")
    await scene.go_on(ChangeOutcome.DECLINED)


async def _drift(scene: Scene) -> None:
    await scene.begin("proj-140", identifier="prod-drifted")
    await scene.say(grant(await scene.asked(), by="budget-owner"))
    first = await scene.asked()
    group = {
        "DBParameterGroupName": "prod-drifted-postgres14",
        "DBParameterGroupFamily": "postgres14",
        "Description": "made by hand",
    }
    await scene.outside.aws.rds.call("create_db_parameter_group", group, about="prod-drifted")
    await scene.say(grant(first))
    second = await scene.asked()
    await scene.say(grant(first))
    assert await scene.refused() == "already_used"
    await scene.say(grant(second))
    await scene.ended(ChangeOutcome.ACCEPTED)


async def _apply_unknown(scene: Scene) -> None:
    await scene.begin("english-markdown", staging_orders="staging-unknown")
    await scene.go_on(ChangeOutcome.ACCEPTED)


async def _backend_declined(scene: Scene) -> None:
    await scene.begin("english-markdown", staging_orders="staging-crowded")
    await scene.go_on(ChangeOutcome.DECLINED)


async def _qa_declined(scene: Scene) -> None:
    await scene.begin("english-markdown", staging_orders="staging-untrusted")
    await scene.go_on(ChangeOutcome.DECLINED)


async def _environment_incomplete(scene: Scene) -> None:
    await scene.begin("english-markdown", staging_orders="staging-incomplete")
    await scene.go_on(ChangeOutcome.FAILED)


SCENARIOS: Mapping[str, Scenario] = {
    "accepted": Scenario(_accepted),
    "accepted-within-budget": Scenario(_accepted_within_budget),
    "asked-many-times": Scenario(_asked_many_times),
    "input-required": Scenario(_input_required),
    "contradiction": Scenario(_contradiction),
    "unsupported-engine": Scenario(_unsupported),
    "cancelled": Scenario(_cancelled),
    "budget-denied": Scenario(_budget_denied),
    "plan-denied": Scenario(_plan_denied),
    "wrong-approvals": Scenario(_wrong_approvals),
    "approval-asked-again": Scenario(_asked_again),
    "approval-expired": Scenario(_expired),
    "security-rejected": Scenario(_security_rejected),
    "drift-new-approval": Scenario(_drift),
    "apply-unknown": Scenario(_apply_unknown, loses=("CreateDBInstance", "DBInstanceIdentifier=staging-unknown")),
    "backend-declined": Scenario(
        _backend_declined, settings={"backend": {"pool_size": 5000, "replicas": 3}}, races=True
    ),
    "qa-declined": Scenario(_qa_declined, settings={"qa": {"ca_file": None}}, races=True),
    "environment-incomplete": Scenario(
        _environment_incomplete, settings={"deployment": {"secrets": ["database-credentials", "api-tokens"]}}
    ),
}
"""By the name of the file that the conversation is kept in."""
