"""Events on their way to the agent: pushed, and pushed again after 15 s, 5 min, 1 h and 6 h until somebody answers 200.

Feishu, event overview (uUTNz4SN1MjL1UzM). Card clicks do not pass here: they are asked once and never again.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agent.clock import Clock

AGAIN_AFTER_S = (15.0, 300.0, 3600.0, 21600.0)
PENDING_MAX = 5000


@dataclass(slots=True)
class Push:
    """One event until it is answered or given up. `due` is monotonic; `copies` 2 = sent twice on purpose."""

    event_id: str
    event_type: str
    body: dict[str, Any]
    due: float
    attempt: int = 0
    copies: int = 1
    in_flight: bool = False


class Pushes:
    """The queue of events, on the injected clock."""

    def __init__(self, clock: Clock, app_id: str, tenant_key: str) -> None:
        self._clock, self._app_id, self._tenant = clock, app_id, tenant_key
        self.waiting: list[Push] = []
        self.sent = self.repeated = self.answered = self.given_up = 0

    def add(self, event_type: str, event: dict[str, Any], copies: int = 1) -> str:
        """Queue an event for the app; its event_id."""
        event_id = uuid.uuid4().hex
        body = envelope(event_id, event_type, event, self._clock.now(), self._app_id, self._tenant)
        if len(self.waiting) >= PENDING_MAX:
            self.waiting.pop(0)
            self.given_up += 1
        self.waiting.append(Push(event_id, event_type, body, self._clock.monotonic(), copies=copies))
        return event_id

    def due(self) -> list[Push]:
        """Events whose time has come, marked as in flight."""
        now = self._clock.monotonic()
        found = [push for push in self.waiting if push.due <= now and not push.in_flight]
        for push in found:
            push.in_flight = True
        return found

    def settle(self, push: Push, ok: bool) -> None:
        """Record the outcome of one attempt: done, again later, or given up after the last."""
        push.in_flight = False
        self.sent += 1
        self.repeated += push.attempt > 0
        if push not in self.waiting:
            return
        if ok:
            self.answered += 1
            self.waiting.remove(push)
        elif push.attempt >= len(AGAIN_AFTER_S):
            self.given_up += 1
            self.waiting.remove(push)
        else:
            push.due = self._clock.monotonic() + AGAIN_AFTER_S[push.attempt]
            push.attempt += 1


def envelope(
    event_id: str, event_type: str, event: dict[str, Any], now: datetime, app_id: str, tenant_key: str
) -> dict[str, Any]:
    """The 2.0 event body. Card callbacks carry microseconds in create_time, other events milliseconds."""
    scale = 1_000_000 if event_type == "card.action.trigger" else 1000
    return {
        "schema": "2.0",
        "header": {
            "event_id": event_id,
            "event_type": event_type,
            "create_time": str(int(now.timestamp() * scale)),
            "token": "",
            "app_id": app_id,
            "tenant_key": tenant_key,
        },
        "event": event,
    }
