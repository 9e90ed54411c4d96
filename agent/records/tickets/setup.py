"""From settings to what the ticket service needs, and from a violation of the pipeline to an occurrence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection

from agent.deadlines.settings import DeadlineSettings
from agent.model import Text, text
from agent.plant.responsibility import Duty
from agent.plant.settings import CharacteristicSettings, Name, SiteSettings
from agent.plant.tracks import Charted
from agent.records.tickets.model import Opening, State
from agent.records.tickets.rules import Key, Occurrence
from agent.records.tickets.service import Setup, Tickets
from agent.records.tickets.settings import TicketSettings
from agent.records.tickets.store import get


class Seen(Protocol):
    """A violation as the pipeline found it (pipeline.Violation; the pipeline stands above the records)."""

    @property
    def event_id(self) -> str: ...
    @property
    def settings(self) -> CharacteristicSettings: ...
    @property
    def stream(self) -> str: ...
    @property
    def charted(self) -> Charted: ...
    @property
    def limits(self) -> Mapping[str, Any]: ...


def setup_of(
    site: SiteSettings,
    tickets: TicketSettings,
    deadlines: DeadlineSettings,
    characteristics: Sequence[CharacteristicSettings],
) -> Setup:
    """What the settings say about tickets, in the service's words."""
    duties = [Duty(c.owner, tuple(c.team), characteristic=c.id) for c in characteristics if c.owner is not None] + [
        Duty(c.owner, category=c.id) for c in tickets.categories if c.owner is not None
    ]
    labels: dict[str, Text] = {f"line:{site.line.id}": _name(site.line.name)}
    labels |= {f"station:{place.id}": _name(place.name) for place in site.stations}
    labels |= {f"category:{category.id}": _name(category.name) for category in tickets.categories}
    labels |= {f"characteristic:{c.id}": _name(c.name) for c in characteristics}
    known = [category.id for category in tickets.categories]
    return Setup(
        deadlines.policy(), duties, tickets.default_owner, tuple(tickets.quality),
        tuple(deadlines.escalation.fallback) or (tickets.default_owner,), labels,
        {c.id: c.category for c in characteristics}, "other" if "other" in known else known[0],
    )  # fmt: skip


def _name(name: Name) -> Text:
    return {"zh": name.zh, "en": name.en}


def occur_of(site: SiteSettings, tickets: Tickets) -> Callable[[Connection, datetime, Seen], tuple[str, bool]]:
    """How a violation of the pipeline becomes a ticket: (number, whether nobody has acted on it yet)."""

    def occur(conn: Connection, now: datetime, seen: Seen) -> tuple[str, bool]:
        c, charted = seen.settings, seen.charted
        key = Key(site.id, site.line.id, c.station, c.part_no or None, c.id, seen.stream or None)
        rules = tuple(charted.ticket_rules) or ("SPEC",)
        # outside specification is the higher class: at least put the parts aside
        severity = "quarantine" if charted.outside and c.severity == "watch" else c.severity
        occurrence = Occurrence(
            seen.event_id, key, rules, charted.at, charted.began_at or charted.at, severity, figures=seen.limits
        )
        opening = Opening(
            channel="spc", category=c.category, severity=severity, title=_title(seen), site=site.id,
            line=site.line.id, station=c.station, part_no=c.part_no or None, characteristic=c.id,
            stream=seen.stream or None, figures=seen.limits,
        )  # fmt: skip
        no, _ = tickets.occur(conn, now, occurrence, opening)
        found = get(conn, no)
        return no, found is not None and found.state is State.NEW

    return occur


def _title(seen: Seen) -> Text:
    name, charted = _name(seen.settings.name), seen.charted
    if charted.outside:
        return text(f"tickets.title.{charted.outside}_spec", characteristic=name)
    if charted.y > seen.limits["ucl"]:
        return text("tickets.title.above", characteristic=name)
    if charted.y < seen.limits["lcl"]:
        return text("tickets.title.below", characteristic=name)
    return text("tickets.title.rules", characteristic=name, rules=", ".join(charted.ticket_rules))
