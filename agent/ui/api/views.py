"""How things look as JSON: tile, ticket, office, sources, snapshot. One place for pages, stream and commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from agent.model import Attention, Quality, SourceHealth
from agent.outbox.courier import LinkState
from agent.outbox.rows import ACTIVE, outbox
from agent.plant.live import Live
from agent.plant.people import Directory
from agent.plant.settings import Name, Place
from agent.records.tickets import board
from agent.records.tickets.model import Ticket
from agent.texts import table
from agent.ui.parts import EdgeParts

SHOWN_TICKETS = 200
"""Open tickets in a snapshot, newest first."""

Json = dict[str, Any]
Waiting = tuple[int, datetime | None]
"""How many messages are not delivered yet, and since when the oldest."""


def attention(live: Live, quality: Quality) -> Attention:
    """The lamp of a tile: a violation nobody acted on, then doubt; a stale or bad tile is hatched, not lit."""
    if live.violation is not None:
        lamps = {"ticket": Attention.NOW, "warning": Attention.SOON}
        return lamps.get(live.violation["severity"], Attention.NONE)
    return Attention.SOON if quality is Quality.UNCERTAIN else Attention.NONE


def tile(live: Live, now: datetime) -> Json:
    """A characteristic as its tile shows it (contract: Tile). Values in its own unit."""
    c, quality = live.settings, live.quality_at(now)
    age = None if live.received_at is None else max(0.0, (now - live.received_at).total_seconds())
    return {
        "id": c.id, "name": name(c.name), "unit": c.unit, "decimals": c.decimals, "station": c.station,
        "category": c.category, "stat": "x" if c.n == 1 else "mean", "chart": c.chart, "n": c.n,
        "center": live.center, "lcl": live.lcl, "ucl": live.ucl, "lsl": c.lsl, "usl": c.usl, "entry": c.entry,
        "value": live.value, "at": _iso(live.at), "quality": str(quality),
        "age_s": None if age is None else round(age, 1), "attention": str(attention(live, quality)),
        "points": [{"at": p.at.isoformat(), "y": p.y, "mark": p.mark, "rules": list(p.rules)} for p in live.points],
        "open": list(live.open), "violation": live.violation,
    }  # fmt: skip


def tickets(conn: Connection, found: Sequence[Ticket], now: datetime, who: Directory) -> list[Json]:
    """Tickets with how their messages fare (contract: Ticket)."""
    counts = outboxes(conn, [t.no for t in found])
    return [ticket(t, now, who, counts[t.no]) for t in found]


def ticket(found: Ticket, now: datetime, who: Directory, counts: Mapping[str, int]) -> Json:
    """One ticket; `counts` as `outboxes` gives them."""
    return board.summary(found, now, who) | {"outbox": dict(counts)}


def outboxes(conn: Connection, numbers: Iterable[str]) -> dict[str, dict[str, int]]:
    """Per ticket how many messages wait, were delivered, are dead; one question for all of them.

    A ticket's lanes are NO and, for direct messages, NO:PERSON; the range of the index may hold other tickets' too.
    """
    counts = {no: {"waiting": 0, "delivered": 0, "dead": 0} for no in numbers}
    if not counts:
        return counts
    rows = conn.execute(
        select(outbox.c.lane, outbox.c.state, func.count())
        .where(outbox.c.lane >= min(counts), outbox.c.lane < f"{max(counts)};")
        .group_by(outbox.c.lane, outbox.c.state)
    )
    for lane, state, n in rows:
        of_ticket = counts.get(lane.partition(":")[0], {})
        kind = "waiting" if state in ACTIVE else state
        if kind in of_ticket:
            of_ticket[kind] += n
    return counts


def waiting(conn: Connection) -> Waiting:
    """What is on its way to the office."""
    n, oldest = conn.execute(
        select(func.count(), func.min(outbox.c.created_at)).where(outbox.c.state.in_(ACTIVE))
    ).one()  # fmt: skip
    return n, oldest


def office(link: LinkState, waits: Waiting, now: datetime) -> Json:
    """The link to the office (contract: office)."""
    n, oldest = waits
    age = None if oldest is None else max(0, round((now - oldest).total_seconds()))
    return {"up": link.up and link.office, "since": _iso(link.since), "waiting": n, "oldest_s": age}


def sources(known: Iterable[SourceHealth], now: datetime) -> Json:
    """How many sources there are, and how many gave data lately."""
    stale = [source.stale(now) for source in known]
    return {"total": len(stale), "good": stale.count(False)}


def snapshot(
    parts: EdgeParts, now: datetime, station: str | None, who: Directory, shown: Sequence[Json], far: Json
) -> Json:
    """All a kiosk shows but "device". `station` None is the whole line; `shown` and `far` are tickets and office."""
    site = parts.site
    live = [one for one in parts.pipeline.live.values() if station in (None, one.settings.station)]
    return {
        "version": parts.version, "now": now.isoformat(), "tz": site.timezone, "site": site.id, "edge": site.edge,
        "line": _place(site.line), "station": _here(parts, station), "stations": [_place(p) for p in site.stations],
        "categories": [
            {"id": c.id, "name": name(c.name), "hint": name(c.hint), "icon": c.icon} for c in parts.categories
        ],
        "tiles": [tile(one, now) for one in live], "tickets": list(shown),
        "sources": sources(parts.sources.values(), now), "office": far,
        "respond_s": next((t.amount_s for t in parts.tickets.policy.terms if t.kind == "R2"), None),
        "people": [
            {"id": p.id, "name": p.name, "roles": sorted(p.roles)} for _, p in sorted(who.people.items()) if p.active
        ],
    }  # fmt: skip


def name(words: Name) -> Json:
    """A name in both languages."""
    return {"zh": words.zh, "en": words.en}


def _here(parts: EdgeParts, station: str | None) -> Json:
    found = next((place for place in parts.site.stations if place.id == station), None)
    whole = {lang: table(lang)["api.whole_line"] for lang in ("zh", "en")}
    return {"id": "", "name": whole} if found is None else _place(found)


def _place(place: Place) -> Json:
    return {"id": place.id, "name": name(place.name)}


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
