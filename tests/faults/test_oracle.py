"""The oracle of the kill runs has nothing against a good flow, and something against each way in which one is bad."""

from __future__ import annotations

from dataclasses import replace

import pytest

from faults.oracle import Evidence, violations
from interlock.agents.sandbox.journal import Entry


def entry(system: str, action: str, subject: str, detail: str) -> Entry:
    return Entry("2026-01-05T09:00:00+00:00", system, action, subject, detail)


IN_PROGRESS = entry("jira", "transition", "PROJ-140", "In Progress")
DONE = entry("jira", "transition", "PROJ-140", "Done")
COMMENT = entry("jira", "comment", "PROJ-140", "h2. Deployed\n\ninterlock-ref: PROJ-140-deployed")
OUTPUT = entry("jira", "attach", "PROJ-140", "terraform-output.txt")
DIAGRAM = entry("jira", "attach", "PROJ-140", "architecture-diagram.png")
REHEARSAL = entry("aws", "CreateDBInstance", "test-db-postgresql", "postgres")
PRODUCTION = entry("aws", "CreateDBInstance", "prod-db-postgresql", "postgres")
ANNOUNCEMENT = entry("chat", "slack", "deployments", '{"text": "PROJ-140: accepted"}')

GOOD = Evidence(
    exit_code=0,
    report={
        "outcome": "accepted",
        "resources": {"DescribeDBInstances": {"DBInstanceIdentifier": "prod-db-postgresql"}},
    },
    journal=(IN_PROGRESS, REHEARSAL, PRODUCTION, COMMENT, OUTPUT, DIAGRAM, DONE, ANNOUNCEMENT),
    workflows=1,
)


def test_a_good_flow_has_no_violations() -> None:
    assert violations(GOOD) == ()


def test_an_announcement_may_be_missing_since_its_fate_may_be_unknown() -> None:
    assert violations(replace(GOOD, journal=[seen for seen in GOOD.journal if seen is not ANNOUNCEMENT])) == ()


@pytest.mark.parametrize(
    ("doubled", "said"),
    [
        (IN_PROGRESS, "the ticket moved to 'In Progress' 2 times"),
        (DONE, "the ticket moved to 'Done' 2 times"),
        (COMMENT, "commented 2 times: interlock-ref: PROJ-140-deployed"),
        (replace(COMMENT, detail="Another text\n\ninterlock-ref: PROJ-140-deployed"), "commented 2 times"),
        (OUTPUT, "attached 'terraform-output.txt' 2 times"),
        (DIAGRAM, "attached 'architecture-diagram.png' 2 times"),
        (REHEARSAL, "asked AWS to create 'test-db-postgresql' 2 times"),
        (PRODUCTION, "asked AWS to create 'prod-db-postgresql' 2 times"),
        (replace(PRODUCTION, subject="prod-db-postgresql-2"), "asked AWS to create 'prod-db-postgresql-2' 1 times"),
        (replace(DONE, detail="To Do"), "the ticket moved to 'To Do' 1 times"),
        (ANNOUNCEMENT, "said 2 times in #deployments"),
    ],
)
def test_what_was_done_twice_or_too_much_is_a_violation(doubled: Entry, said: str) -> None:
    (violation,) = violations(replace(GOOD, journal=(*GOOD.journal, doubled)))
    assert said in violation


@pytest.mark.parametrize("missing", [IN_PROGRESS, DONE, COMMENT, OUTPUT, DIAGRAM, REHEARSAL, PRODUCTION])
def test_what_was_not_done_is_a_violation(missing: Entry) -> None:
    assert len(violations(replace(GOOD, journal=[seen for seen in GOOD.journal if seen is not missing]))) == 1


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (replace(GOOD, exit_code=None), "exit code None"),
        (replace(GOOD, report={**GOOD.report, "outcome": "failed", "reason": "drift"}), "ended failed"),
        (replace(GOOD, report={**GOOD.report, "resources": {}}), "AWS describes None"),
        (replace(GOOD, workflows=2), "2 workflows"),
    ],
)
def test_a_flow_that_did_not_end_well_is_a_violation(bad: Evidence, said: str) -> None:
    (violation,) = violations(bad)
    assert said in violation
