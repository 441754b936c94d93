"""The durable memory of one agent."""
