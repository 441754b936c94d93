"""The tables of a store, as Alembic revisions for every dialect."""
