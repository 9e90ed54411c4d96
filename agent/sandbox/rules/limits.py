"""Feishu's rate limits as sliding windows on the injected clock: per API, per chat, per message."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Hashable

from agent.clock import Clock

PER_API = ((50, 1.0), (1000, 60.0))
"""50/s and 1000/min, whichever trips first (each endpoint's page)."""
PER_CHAT = ((5, 1.0),)
"""5 messages/s to a chat or user, 5 updates/s of a message (im-v1/message/create, message-card/patch)."""
_KEYS_MAX = 10_000


class Limits:
    """Counts calls by key. A refused call is not counted."""

    def __init__(self, clock: Clock, on: bool = True) -> None:
        self._clock, self.on = clock, on
        self._seen: dict[Hashable, deque[float]] = {}

    def take(self, key: Hashable, caps: tuple[tuple[int, float], ...]) -> int | None:
        """Count one call; None if it is allowed, else the whole seconds to wait (at least 1)."""
        if not self.on:
            return None
        now = self._clock.monotonic()
        seen = self._seen.setdefault(key, deque())
        while seen and now - seen[0] >= caps[-1][1]:
            seen.popleft()
        for count, period in caps:
            if len(seen) >= count and now - seen[-count] < period:
                return max(1, math.ceil(period - (now - seen[-count])))
        seen.append(now)
        if len(self._seen) > _KEYS_MAX:
            self._forget(now)
        return None

    def _forget(self, now: float) -> None:
        for key in [k for k, seen in self._seen.items() if not seen or now - seen[-1] >= 60.0]:
            del self._seen[key]
