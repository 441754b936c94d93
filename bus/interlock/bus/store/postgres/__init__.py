"""The store of one agent in one schema of a PostgreSQL database, shared by the agent's replicas."""
