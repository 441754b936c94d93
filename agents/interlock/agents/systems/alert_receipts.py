"""Asks the receiver at the far end of an alert route what has arrived; it knows no cloud."""

from __future__ import annotations

__all__ = ["HttpAlertReceipts"]

from urllib.parse import quote

import anyio
import httpx

from interlock.agents.systems.outside import calling

_POLL = 0.1


class HttpAlertReceipts:
    """A receiver that answers `GET <url>/received/<message id>` with 200 once it has the message."""

    def __init__(self, url: str, *, patience: float = 10.0) -> None:
        """`patience` is how many seconds an alert may take."""
        self._url = url.rstrip("/")
        self._patience = patience

    def __repr__(self) -> str:
        return f"HttpAlertReceipts({self._url!r})"

    async def received(self, message_id: str) -> bool:
        """Return whether the message arrived within the patience; an unreachable receiver has received nothing."""
        address = f"{self._url}/received/{quote(message_id, safe='')}"
        async with httpx.AsyncClient(timeout=5.0, trust_env=False) as client:
            with calling("alerts", "received"), anyio.move_on_after(self._patience):
                while True:
                    try:
                        if (await client.get(address)).is_success:
                            return True
                    except httpx.TransportError:
                        await anyio.sleep(_POLL)
                    await anyio.sleep(_POLL)
        return False
