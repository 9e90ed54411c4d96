"""The policy a record is followed up by: how long each deadline is and what happens around it.

It is frozen in the record when the record is opened (and again when it is reopened), so a changed setting never moves
a due time that somebody was told. JSON-able; unknown keys are ignored and missing ones take the default, so that
an older or newer agent can read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

HOUR = 3600
DAY = 24 * HOUR
UNITS = {"s": 1, "min": 60, "h": HOUR, "d": DAY}
LONGEST = 366 * DAY


@dataclass(frozen=True, slots=True)
class Term:
    """One deadline to be: its kind, its length in seconds and the basis it is counted on (see bases.py)."""

    kind: str
    amount_s: int
    basis: str = "wall"


TERMS = (Term("R2", 2 * HOUR), Term("C24", 24 * HOUR), Term("A48", 48 * HOUR), Term("V5", 120 * HOUR))
"""The 2485 of the customer story: response, containment, cause and countermeasure, implemented and verified."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The agreed rules of follow-up. Durations in seconds, all deadlines from the raise."""

    terms: tuple[Term, ...] = TERMS
    remind_at: float = 0.75
    """Share of a deadline used up at which the owner is reminded, once."""
    escalate: bool = True
    four_eyes: bool = True
    """Whether someone else than the implementer must confirm that a countermeasure works."""
    linger_s: int = 24 * HOUR
    """From solved (or cancelled) until people leave the group and the record closes."""
    reopen_s: int = 24 * HOUR
    """A repeat this soon after closing reopens the record ..."""
    recurrence_s: int = 30 * DAY
    """... and this soon opens a new one that is linked to it."""
    card_interval_s: int = 30
    """At most one card update for counters in this time; a change of state goes out at once."""

    def as_json(self) -> dict[str, Any]:
        plain = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "terms"}
        terms = [{"kind": t.kind, "amount_s": t.amount_s, "basis": t.basis} for t in self.terms]
        return plain | {"terms": terms}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Policy:
        known = {f.name: data[f.name] for f in fields(Policy) if f.name in data and f.name != "terms"}
        if "terms" in data:
            terms = (Term(t["kind"], int(t["amount_s"]), t.get("basis", "wall")) for t in data["terms"])
            known["terms"] = tuple(terms)
        return Policy(**known)


def parse_amount(words: str) -> int:
    """Seconds of "2h", "90min", "5d", "45s". Raises ValueError with a hint for anything else, 0, or more than 366 d."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(s|min|h|d)\s*", words, re.ASCII)
    seconds = round(float(match[1]) * UNITS[match[2]]) if match else 0
    if not 0 < seconds <= LONGEST:
        raise ValueError('write a duration above 0 and up to 366d, such as "2h", "90min" or "5d"')
    return seconds
