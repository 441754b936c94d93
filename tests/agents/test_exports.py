"""What agent authors import: taking a name away, or adding one, is a visible difference in this file."""

from __future__ import annotations

import interlock.agents
import interlock.agents.testing
import interlock.bus


def test_the_names_for_agent_authors_are_these() -> None:
    assert interlock.agents.__all__ == ["Addressed", "Agent", "Context", "to"]
    assert interlock.bus.__all__ == ["Bus", "Clock", "SystemClock", "VirtualClock", "connect", "open_transport"]


def test_the_names_for_tests_of_agents_are_these() -> None:
    assert interlock.agents.testing.__all__ == [
        "AgentSession",
        "AgentTester",
        "BrokerForTests",
        "BusTester",
        "MemoryForTests",
        "RabbitForTests",
        "Replay",
        "ReplayRecording",
        "WorkflowTester",
    ]
