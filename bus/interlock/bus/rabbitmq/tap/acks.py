"""Which deliveries of a channel are acknowledged by which frames; it knows their tags, and nothing of the wire.

In order, one frame acknowledges all that were settled since the last one. What waits behind a slower delivery does so
for a moment, and is then acknowledged by itself.
"""

from __future__ import annotations

__all__ = ["Acks"]


class Acks:
    """The tags of one channel, which the broker counts from 1 on.

    A multiple acknowledgement names no tag that was settled before: that would close the channel.
    """

    __slots__ = ("_early", "_owed", "_settled", "_singly")

    def __init__(self) -> None:
        self._settled = 0
        """All up to here are acknowledged or settled singly."""
        self._owed = 0
        """The highest tag up to there of which the broker was not told yet; 0 for none."""
        self._early: set[int] = set()
        self._singly: set[int] = set()

    @property
    def are_waiting(self) -> bool:
        """Whether some wait for a slower delivery before them."""
        return bool(self._early)

    def ack(self, tag: int) -> None:
        """Acknowledge a delivery with the next frames."""
        if tag == self._settled + 1:
            self._settled = self._owed = tag
            if self._early or self._singly:
                self._advance()
        else:
            self._early.add(tag)

    def settle_singly(self, tag: int) -> None:
        """Take note of a delivery that was settled by a frame of its own."""
        self._singly.add(tag)
        self._advance()

    def take_multiple(self) -> int:
        """Return the tag for one multiple acknowledgement, 0 when there is nothing to be told."""
        owed, self._owed = self._owed, 0
        return owed

    def take_waiting(self) -> list[int]:
        """Return the tags that must not wait any longer, each for a frame of its own."""
        waiting = sorted(self._early)
        self._singly.update(waiting)
        self._early.clear()
        return waiting

    def _advance(self) -> None:
        following = self._settled + 1
        while True:
            if following in self._early:
                self._early.discard(following)
                self._owed = following
            elif following in self._singly:
                self._singly.discard(following)
            else:
                break
            following += 1
        self._settled = following - 1
