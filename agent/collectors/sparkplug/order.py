"""The sequence numbers of one edge node: messages in the order in which they were sent (Sparkplug 3.0 §5.13).

No clock: `now` is a monotonic time in seconds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_MOST_WAITING = 64
"""Messages held back at once; more than that are out of order and no wait will mend it."""
_MOST_BYTES = 1 << 20
_RECENT = 64

M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class _Held(Generic[M]):
    seq: int
    message: M
    size: int


@dataclass(slots=True)
class Order(Generic[M]):
    """Puts messages in order. What comes early waits until what is missing is there or given up."""

    timeout_s: float
    expected: int | None = None
    """The next sequence number; None before a birth: then nothing is known of the order."""
    due_at: float | None = None
    """When to call `give_up`."""
    _held: list[_Held[M]] = field(default_factory=list)
    _bytes: int = 0
    _missing: set[int] = field(default_factory=set)
    _recent: deque[int] = field(default_factory=lambda: deque(maxlen=_RECENT))

    def repeated(self, seq: int, digest: int) -> bool:
        """The same message was seen a moment ago, and is not the one that must come now. Asked once a message."""
        known = digest in self._recent and seq != self.expected
        self._recent.append(digest)
        return known

    def begin(self, seq: int | None, belongs: Callable[[M], bool]) -> list[M]:
        """A birth of the node: the count starts anew. Returns what waits and does not belong to the new session."""
        held, due_at = self._in_order(), self.due_at
        self._drop()
        self._missing.clear()
        self._recent.clear()
        self.expected = None if seq is None else (seq + 1) % 256
        self._held = [one for one in held if belongs(one.message)]
        self._bytes = sum(one.size for one in self._held)
        self.due_at = due_at if self._held else None
        return [one.message for one in held if not belongs(one.message)]

    def end(self) -> list[M]:
        """The node is dead or out of reach: what still waits, in order."""
        held = self._in_order()
        self._drop()
        self._missing.clear()
        self.expected = None
        return [one.message for one in held]

    def take(self, seq: int, message: M, size: int, now: float) -> list[M]:
        """A message came: what can be read now. `due_at` is set while something waits."""
        if self.expected is None or seq in self._missing:
            self._missing.discard(seq)
            return [message]
        if seq != self.expected:
            self._held.append(_Held(seq, message, size))
            self._bytes += size
            if self.due_at is None:
                self.due_at = now + self.timeout_s
            if len(self._held) > _MOST_WAITING or self._bytes > _MOST_BYTES:
                self.due_at = now
            return []
        self.expected = (seq + 1) % 256
        return [message, *self.ready()]

    def ready(self) -> list[M]:
        """What waited and is due now that the numbers before it are there."""
        found: list[M] = []
        while (one := next((h for h in self._held if h.seq == self.expected), None)) is not None:
            self._held.remove(one)
            self._bytes -= one.size
            self.expected = (one.seq + 1) % 256
            found.append(one.message)
        if not self._held:
            self.due_at = None
        return found

    def give_up(self) -> list[M]:
        """What is missing will not come: the rest, in order. Late comers are still taken, each once."""
        held = self._in_order()
        self._drop()
        for one in held:
            while self.expected is not None and self.expected != one.seq:
                self._missing.add(self.expected)
                self.expected = (self.expected + 1) % 256
            self.expected = (one.seq + 1) % 256
        return [one.message for one in held]

    def _in_order(self) -> list[_Held[M]]:
        first = self.expected or 0
        return sorted(self._held, key=lambda one: (one.seq - first) % 256)

    def _drop(self) -> None:
        self._held, self._bytes, self.due_at = [], 0, None
