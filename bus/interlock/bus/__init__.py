"""How messages travel: transports, delivery and durable memory; it knows no agent."""

from interlock.bus.bus import Bus
from interlock.bus.clock import Clock, SystemClock, VirtualClock
from interlock.bus.connect import connect, open_transport

__all__ = ["Bus", "Clock", "SystemClock", "VirtualClock", "connect", "open_transport"]
