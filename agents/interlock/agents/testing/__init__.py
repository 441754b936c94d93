"""For tests of agents and workflows: given / when / then, without a broker and without waiting."""

from interlock.agents.testing.agent_tester import AgentTester
from interlock.agents.testing.workflow_tester import WorkflowTester

__all__ = ["AgentTester", "WorkflowTester"]
