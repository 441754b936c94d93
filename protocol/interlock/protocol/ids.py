"""Identifiers: time-ordered for new things, derived for things that must come out the same again."""

from __future__ import annotations

__all__ = ["conversation_of", "derived_id", "new_id"]

from uuid import UUID, uuid5

from uuid_utils import uuid7

_NAMESPACE = UUID("6d4ff0f4-5a0b-5c39-9a5e-2f0e7d1b8a11")


def new_id() -> str:
    """Return a fresh UUIDv7 in canonical form; ids made later sort later (RFC 9562, section 5.7)."""
    return str(uuid7())


def derived_id(*parts: str | int) -> str:
    """Return the id that these parts always give, so that a repeated step repeats its ids as well."""
    return str(uuid5(_NAMESPACE, "\x1f".join(str(part) for part in parts)))


def conversation_of(issue: str) -> str:
    """Return the one conversation id of a Jira issue: duplicate webhooks and restarts meet in one workflow."""
    return derived_id("conversation", issue)
