"""For tests of agents and workflows: given / when / then, without a broker and without waiting."""

from interlock.agents.testing.agent_tester import AgentTester
from interlock.agents.testing.broker import BrokerForTests, MemoryForTests, RabbitForTests
from interlock.agents.testing.bus_tester import BusTester
from interlock.agents.testing.replay import Replay, ReplayRecording
from interlock.agents.testing.session import AgentSession
from interlock.agents.testing.workflow_tester import WorkflowTester

__all__ = [
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
