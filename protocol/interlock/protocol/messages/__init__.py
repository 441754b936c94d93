"""Every message of the catalogue, by topic."""

from interlock.protocol.messages import approval, change, handoff, presence, provisioning, task

__all__ = ["approval", "change", "handoff", "presence", "provisioning", "task"]
