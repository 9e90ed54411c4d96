"""A deadline and all that can be said of it at a moment. Met means stopped at or before the due time, to the second.

A deadline is stopped once, by the act that fulfils it; breached once, with its own due time whenever that is noticed;
void when its record was cancelled before it was due. A record has few of them, kept as a tuple in a fixed order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from agent.deadlines.bases import BASES
from agent.deadlines.policy import Policy

Status = Literal["running", "met", "breached", "void"]
Mark = Literal["met", "late", "run", "near", "missed", "wait", "void"]

NEAR = 0.75
"""Share used from which a running deadline is shown as near (look/README: amber)."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """One clock of one cycle. Times are aware, UTC."""

    kind: str
    started_at: datetime
    due_at: datetime
    amount_s: int
    stopped_at: datetime | None = None
    breached_at: datetime | None = None
    void: bool = False

    @property
    def running(self) -> bool:
        """Nobody has fulfilled it and it still counts (it may be over)."""
        return self.stopped_at is None and not self.void

    @property
    def unrecorded(self) -> bool:
        """It is not known as breached, and is or will be unless somebody acts in time."""
        late = self.stopped_at is None or self.stopped_at > self.due_at
        return late and self.breached_at is None and not self.void

    def as_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "started_at": self.started_at.isoformat(),
            "due_at": self.due_at.isoformat(),
            "amount_s": self.amount_s,
            "stopped_at": self.stopped_at.isoformat() if self.stopped_at else None,
            "breached_at": self.breached_at.isoformat() if self.breached_at else None,
            "void": self.void,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Deadline:
        stopped, breached = data.get("stopped_at"), data.get("breached_at")
        return Deadline(
            str(data["kind"]),
            datetime.fromisoformat(data["started_at"]),
            datetime.fromisoformat(data["due_at"]),
            int(data["amount_s"]),
            datetime.fromisoformat(stopped) if stopped else None,
            datetime.fromisoformat(breached) if breached else None,
            bool(data.get("void", False)),
        )


def plan(raised_at: datetime, policy: Policy) -> tuple[Deadline, ...]:
    """The deadlines of a record raised at `raised_at`, in the policy's order, all counted from the raise.

    Raises KeyError for a basis that does not exist (settings refuse it long before).
    """
    return tuple(
        Deadline(term.kind, raised_at, BASES[term.basis](raised_at, term.amount_s), term.amount_s)
        for term in policy.terms
    )


def status(deadline: Deadline, now: datetime) -> Status:
    """running, met, breached or void."""
    if deadline.void:
        return "void"
    if deadline.stopped_at is not None:
        return "met" if deadline.stopped_at <= deadline.due_at else "breached"
    return "breached" if deadline.breached_at is not None or now > deadline.due_at else "running"


def used(deadline: Deadline, now: datetime) -> float:
    """Share of the time between start and due that is gone (or was, when it was stopped); 1.0 at the due time."""
    span, gone = deadline.due_at - deadline.started_at, (deadline.stopped_at or now) - deadline.started_at
    return max(0.0, gone / span) if span > timedelta(0) else 1.0


def late(deadline: Deadline, now: datetime) -> timedelta:
    """How far over it is or was; zero when met or still in time."""
    return max(timedelta(0), (deadline.stopped_at or now) - deadline.due_at)


def mark(deadline: Deadline, now: datetime, *, next_step: bool = True) -> Mark:
    """How the 2485 strip draws it. `next_step` is False for one that runs behind another (see `marks`)."""
    state = status(deadline, now)
    if state == "met" or state == "void":
        return state
    if state == "breached":
        return "missed" if deadline.stopped_at is None else "late"
    if used(deadline, now) >= NEAR:
        return "near"
    return "run" if next_step else "wait"


def marks(deadlines: Sequence[Deadline], now: datetime) -> tuple[Mark, ...]:
    """The marks of a whole strip: the first one still in time is the next step, those behind it wait."""
    ahead = next((d for d in deadlines if status(d, now) == "running"), None)
    return tuple(mark(d, now, next_step=d is ahead) for d in deadlines)


def breaches(deadlines: Iterable[Deadline], now: datetime) -> list[Deadline]:
    """Every breach that has passed and is not recorded yet, by due time; each is to be recorded at its own due time.

    At the due time itself the deadline is over: acts of the same instant are applied before (inputs before timers).
    """
    return sorted((d for d in deadlines if d.unrecorded and d.due_at <= now), key=lambda d: d.due_at)


def remind_at(deadline: Deadline, at: float = NEAR) -> datetime:
    """When a share `at` of the deadline is used up."""
    return deadline.started_at + (deadline.due_at - deadline.started_at) * at


def reminders(deadlines: Iterable[Deadline], now: datetime, at: float = NEAR) -> list[Deadline]:
    """Those still in time of which a share `at` is gone. What is over needs none; the record knows who was told."""
    return [d for d in deadlines if d.running and d.breached_at is None and remind_at(d, at) <= now < d.due_at]


def find(deadlines: Iterable[Deadline], kind: str) -> Deadline | None:
    """The deadline of a kind."""
    return next((d for d in deadlines if d.kind == kind), None)


def stop(deadlines: Iterable[Deadline], kind: str, at: datetime) -> tuple[Deadline, ...]:
    """Stop a running deadline; one that was stopped or void stays as it is."""
    return tuple(replace(d, stopped_at=at) if d.kind == kind and d.running else d for d in deadlines)


def void(deadlines: Iterable[Deadline], at: datetime) -> tuple[Deadline, ...]:
    """End all at a cancellation: what is still in time does not count, what is over was missed and ends here."""
    return tuple(
        d if not d.running else replace(d, void=True) if at <= d.due_at else replace(d, stopped_at=at)
        for d in deadlines
    )


def breach(deadlines: Iterable[Deadline], kind: str, at: datetime | None) -> tuple[Deadline, ...]:
    """Record a breach; None withdraws it."""
    return tuple(replace(d, breached_at=at) if d.kind == kind else d for d in deadlines)


def disproved(deadlines: Iterable[Deadline]) -> list[Deadline]:
    """Those recorded as breached although they were stopped in time (the act arrived after the sweep)."""
    return [d for d in deadlines if d.breached_at and d.stopped_at is not None and d.stopped_at <= d.due_at]
