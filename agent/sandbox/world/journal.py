"""What was asked and what was wrong with it: the last calls, the violations, the counters."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from agent.clock import Clock
from agent.sandbox.world.bus import Bus
from agent.sandbox.world.things import Call, Violation

CALLS_MAX = 2000
VIOLATIONS_MAX = 500
REFUSED_MAX = 1000


class Journal:
    """Bounded memory of calls and violations; counters run on."""

    def __init__(self, clock: Clock, bus: Bus) -> None:
        self._clock, self._bus = clock, bus
        self.calls: deque[Call] = deque(maxlen=CALLS_MAX)
        self.violations: deque[Violation] = deque(maxlen=VIOLATIONS_MAX)
        self.counters: dict[str, dict[str, int]] = {
            "groups": {"created": 0, "dissolved": 0, "duplicates": 0},
            "cards": {"sent": 0, "updates": 0, "out_of_order": 0, "duplicates": 0},
            "messages": {"sent": 0, "direct": 0, "duplicates": 0},
            "clicks": {"pressed": 0, "answered": 0, "late": 0, "nobody": 0, "failed": 0},
            "calls": {"total": 0, "failed": 0, "lost": 0, "limited": 0},
        }
        self.violation_count = 0
        self._refused: dict[bytes, int] = {}

    def count(self, group: str, name: str) -> None:
        self.counters[group][name] += 1
        self._bus.publish("counters", "")

    def open_call(self, method: str, api: str, path: str, uuid: str | None, log_id: str) -> Call:
        """A call has come in; it is shown when it is closed."""
        self.counters["calls"]["total"] += 1
        return Call(self.counters["calls"]["total"], self._clock.now(), method, api, path, uuid, log_id)

    def close_call(self, call: Call, status: int | None, code: int | None, ms: int, fault: str | None) -> None:
        """The call is answered, or (status None) will never be."""
        call.status, call.code, call.ms, call.fault = status, code, ms, fault
        self.calls.append(call)
        counts = self.counters["calls"]
        counts["lost"] += status is None
        counts["limited"] += status == 429
        counts["failed"] += bool(code)
        self._bus.publish("call", str(call.n), call)
        self._bus.publish("counters", "")

    def calls_after(self, n: int, limit: int) -> Iterable[Call]:
        return [call for call in self.calls if call.n > n][:limit]

    def violation(self, kind: str, chat_id: str | None = None, message_id: str | None = None, **args: Any) -> None:
        """Note something that must not happen."""
        self.violation_count += 1
        found = Violation(self.violation_count, self._clock.now(), kind, args, chat_id, message_id)
        self.violations.append(found)
        self._bus.publish("violation", str(found.n), found)
        self._bus.publish("counters", "")

    def refused_for_good(self, api: str, path: str, body: bytes, code: int) -> None:
        """A request was wrong in itself; the same one again is a violation."""
        key = hashlib.sha256(f"{api} {path} ".encode() + body).digest()
        if key in self._refused:
            self.violation("repeated_refused", api=api, code=code)
        elif len(self._refused) >= REFUSED_MAX:
            self._refused.pop(next(iter(self._refused)))
        self._refused[key] = code


def stamp(at: datetime | None) -> str | None:
    """ISO time for the page, or None."""
    return None if at is None else at.isoformat()


def ms(at: datetime) -> str:
    """Milliseconds since 1970 as Feishu writes them: a string."""
    return str(int(at.timestamp() * 1000))
