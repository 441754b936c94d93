"""Ports and live clients of the outside world, one module per system; none of them knows an agent."""
