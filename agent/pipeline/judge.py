"""A charted point that breaks a rule: its words, its figures, its ticket, and what its tile latches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from agent.model import Text, text
from agent.plant.points.latches import KNOWN, set_latch
from agent.plant.points.tracks import Charted, Track
from agent.plant.settings import CharacteristicSettings
from agent.store.facts import epoch


@dataclass(frozen=True, slots=True)
class Violation:
    """A charted point that asks for a ticket; `event_id` is the same however often it is worked out."""

    event_id: str
    settings: CharacteristicSettings
    stream: str
    charted: Charted
    limits: Mapping[str, Any]
    words: Text


Occur = Callable[[Connection, datetime, Violation], tuple[str, bool]]
"""Make a violation a ticket: (number, whether nobody acted on it yet). Runs in the batch's transaction."""


def judge(
    conn: Connection, now: datetime, edge: str, track: Track, charted: Charted, occur: Occur
) -> tuple[dict[str, Any], Mapping[str, Any] | None]:
    """Open or count the ticket of a marked point, and latch it.

    The violation as callers are told of it, and what its tile shows from now on (None: as before).
    """
    settings, words = track.settings, says(track, charted)
    shown = [*charted.ticket_rules, *charted.warning_rules] or ["SPEC"]
    ticket, fresh = None, True
    if charted.mark == "ticket":
        # of a store restored from a copy, points get numbers again that were used: hence its epoch
        point = f"{settings.id}:{track.name}:{track.limits.version}:{charted.seq}"
        event_id = f"{edge}:{point}@{epoch(conn)[:8]}"
        ticket, fresh = occur(
            conn, now, Violation(event_id, settings, track.name, charted, figures(track, charted), words)
        )
    severity = charted.mark if fresh else KNOWN
    held = set_latch(conn, settings.id, shown, severity or KNOWN, charted.at, charted.y, words, ticket)
    told = {"rules": shown, "severity": charted.mark, "at": charted.at.isoformat(), "value": charted.y,
            "text": words, "ticket": ticket}  # fmt: skip
    return told, held


def says(track: Track, charted: Charted) -> Text:
    """The violation in words: what is beyond what, and the rules."""
    settings, limits = track.settings, track.limits
    rules = ", ".join(charted.ticket_rules or charted.warning_rules)

    def num(x: float) -> dict[str, Any]:
        return {"num": x, "digits": settings.decimals}

    if charted.outside == "above":
        return text("spc.says.above_usl", limit=num(settings.usl or 0.0))
    if charted.outside == "below":
        return text("spc.says.below_lsl", limit=num(settings.lsl or 0.0))
    if charted.y > limits.ucl:
        return text("spc.says.above", limit=num(limits.ucl), rules=rules)
    if charted.y < limits.lcl:
        return text("spc.says.below", limit=num(limits.lcl), rules=rules)
    return text("spc.says.rules", rules=rules)


def figures(track: Track, charted: Charted) -> dict[str, Any]:
    """The numbers that travel with a ticket."""
    settings, limits = track.settings, track.limits
    return {
        "value": charted.y, "unit": settings.unit, "digits": settings.decimals,
        "stat": "x" if settings.n == 1 else "mean", "center": limits.center, "lcl": limits.lcl, "ucl": limits.ucl,
        "lsl": settings.lsl, "usl": settings.usl, "n": settings.n,
    }  # fmt: skip
