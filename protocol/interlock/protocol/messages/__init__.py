"""Every message of the catalogue, by topic."""

from interlock.protocol.messages import approval, change, handoff, presence, task

__all__ = ["approval", "change", "handoff", "presence", "task"]
