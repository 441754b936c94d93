"""A reviewer judges the bytes that would be applied, whatever stands beside them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlock.agents.security.plan_bytes import matches_bytes
from interlock.agents.systems.aws.document import PlanDocument, PlannedResource
from interlock.agents.systems.provisioning import Plan
from interlock.protocol.infrastructure import DatabaseSpec
from interlock.protocol.values import CheckVerdict


@pytest.fixture
def plan(spec: DatabaseSpec) -> Plan:
    resource = PlannedResource.compare(
        "aws_db_instance.production", before=None, after={"multiAz": "true"}, permanent=frozenset()
    )
    document = PlanDocument(issue="PROJ-140", region=spec.region, spec=spec, resources=(resource,))
    return Plan(engine="aws-direct", spec=spec, document=document.serialised(), changes=(resource.change(),), code={})


def test_a_plan_that_shows_what_it_does_passes(plan: Plan) -> None:
    assert matches_bytes(plan).verdict is CheckVerdict.PASS


def test_a_kinder_specification_beside_the_bytes_fails(plan: Plan) -> None:
    shown = plan.spec.model_copy(update={"publicly_accessible": not plan.spec.publicly_accessible})
    assert matches_bytes(replace(plan, spec=shown)).verdict is CheckVerdict.FAIL


def test_changes_that_are_not_in_the_bytes_fail(plan: Plan) -> None:
    assert matches_bytes(replace(plan, changes=())).verdict is CheckVerdict.FAIL


def test_bytes_that_are_no_document_fail(plan: Plan) -> None:
    assert matches_bytes(replace(plan, document=b"{}")).verdict is CheckVerdict.FAIL


def test_a_saved_terraform_plan_is_unknown(plan: Plan) -> None:
    assert matches_bytes(replace(plan, engine="terraform")).verdict is CheckVerdict.UNKNOWN
