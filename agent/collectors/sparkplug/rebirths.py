"""Which edge nodes are to be asked for a rebirth, and when: seldom, and ever more seldom if it does not help.

No clock: `now` is a monotonic time in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

_LONGEST_PAUSE_S = 600.0
_SAME_PAUSE = 3
"""So many requests come with the shortest pause between them; from then on it doubles."""
_FORGIVEN_AFTER_S = 3600.0
"""Without a request for so long the count begins anew."""
_PER_SECOND = 10.0
_TRIES = 8
"""Unanswered requests after which we wait until the node itself speaks."""
_SETTLE_S = 3.0
"""After connecting: a node that saw us (or the broker) come back gives birth by itself."""

NodeId = tuple[str, str]


@dataclass(slots=True)
class _Ask:
    last_at: float = float("-inf")
    due_at: float | None = None
    count: int = 0
    unanswered: int = 0


class Rebirths:
    """At most one request to a node each `pause_s`, soon doubled with each; ten a second to all of them together."""

    def __init__(self, pause_s: float) -> None:
        self._pause_s = pause_s
        self._asks: dict[NodeId, _Ask] = {}
        self._due: set[NodeId] = set()
        self._budget, self._at = _PER_SECOND, float("-inf")

    def want(self, node: NodeId, now: float, settle: bool = False) -> None:
        """The node shall be asked as soon as it may be."""
        ask = self._asks.setdefault(node, _Ask())
        if ask.due_at is not None:
            return
        if now - ask.last_at > _FORGIVEN_AFTER_S:
            ask.count = 0
        ask.unanswered = 0
        ask.due_at = max(now + _SETTLE_S * settle, ask.last_at + self._pause(ask))
        self._due.add(node)

    def settled(self, node: NodeId) -> None:
        """The node gave birth, or is dead: nothing to ask for."""
        if node in self._due:
            self._due.discard(node)
            self._asks[node].due_at = None

    def forget(self, node: NodeId) -> None:
        """The node is no longer remembered."""
        self._due.discard(node)
        self._asks.pop(node, None)

    def due(self, now: float) -> list[NodeId]:
        """The nodes to ask now."""
        if not self._due:
            return []
        self._budget = min(_PER_SECOND, self._budget + (now - self._at) * _PER_SECOND)
        self._at = now
        found = [node for node in self._due if (self._asks[node].due_at or 0) <= now][: int(self._budget)]
        self._budget -= len(found)
        for node in found:
            ask = self._asks[node]
            ask.last_at, ask.count, ask.unanswered = now, ask.count + 1, ask.unanswered + 1
            ask.due_at = now + self._pause(ask)
            if ask.unanswered >= _TRIES:
                self.settled(node)
        return found

    def _pause(self, ask: _Ask) -> float:
        doubled = self._pause_s * 2.0 ** min(30, max(0, ask.count - _SAME_PAUSE))
        return max(self._pause_s, min(_LONGEST_PAUSE_S, doubled))
