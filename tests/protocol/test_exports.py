"""The public names: taking one away, or adding one, is a visible difference in this file."""

from __future__ import annotations

from types import ModuleType

import pytest

import interlock.protocol
from interlock.protocol import (
    asyncapi,
    catalogue,
    codec,
    compatibility,
    contract,
    corpus,
    discovery,
    envelope,
    errors,
    examples,
    export,
    ids,
    infrastructure,
    message,
    recording,
    redaction,
    reference,
    refusal,
    releases,
    roles,
    schemas,
    selection,
    values,
)
from interlock.protocol.messages import approval, change, handoff, presence, provisioning, repair, task

EXPORTED = [
    "CATALOGUE",
    "Catalogue",
    "Effect",
    "Envelope",
    "Event",
    "InfrastructureAcknowledged",
    "InfrastructureReady",
    "InterlockError",
    "InvalidMessageError",
    "Message",
    "PermanentError",
    "RejectionCode",
    "Reply",
    "Request",
    "Route",
    "TaskDeclined",
    "TransientError",
    "UnknownOutcomeError",
    "UsageError",
    "decode",
    "decode_bare",
    "encode",
]

RELEASED_TYPES = """
    agent_announced agent_heartbeat agent_offline approval_denied approval_granted approval_refused approval_request
    change_concluded change_requested connectivity_test_request connectivity_test_result cost_estimate_ready
    dead_letters_report dead_letters_request deadline_exceeded deployment_environment_acknowledged
    deployment_environment_ready documentation_published documentation_request drift_detected escalation_raised
    handoff_request handoff_result infrastructure_acknowledged infrastructure_applied infrastructure_apply
    infrastructure_ready infrastructure_request input_provided input_required message_rejected monitoring_configured
    monitoring_request plan_ready plan_request reconciliation_request reconciliation_result repair_request
    repair_result requirements_analysed requirements_analysis_request security_review_request security_review_result
    task_accepted task_cancelled task_completed task_declined task_failed task_progress ticket_close_request
    ticket_closed verification_request verification_result
"""


def test_the_exported_names_are_frozen() -> None:
    assert interlock.protocol.__all__ == EXPORTED
    assert all(hasattr(interlock.protocol, name) for name in EXPORTED)


def test_no_released_message_is_ever_renamed_or_removed() -> None:
    assert {name.declaration.type for name in interlock.protocol.CATALOGUE} >= set(RELEASED_TYPES.split())


@pytest.mark.parametrize(
    "module",
    [
        approval,
        asyncapi,
        catalogue,
        change,
        codec,
        compatibility,
        contract,
        corpus,
        discovery,
        envelope,
        errors,
        examples,
        export,
        handoff,
        ids,
        infrastructure,
        message,
        presence,
        provisioning,
        recording,
        redaction,
        reference,
        refusal,
        releases,
        repair,
        roles,
        schemas,
        selection,
        task,
        values,
    ],
    ids=lambda module: module.__name__,
)
def test_each_module_has_every_name_that_it_lists(module: ModuleType) -> None:
    names: list[str] = module.__all__

    assert len(names) == len(set(names))
    assert all(hasattr(module, name) for name in names)
