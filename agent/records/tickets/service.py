"""What an edge does with its tickets. Each method runs inside one transaction: the events, the folded state, and the
messages they cause are committed together or not at all (ADR 3)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from agent.deadlines.policy import Policy
from agent.errors import Refused
from agent.model import SYSTEM, Actor, Text, text
from agent.outbox.inbox import UNREADABLE
from agent.outbox.queue import Item, enqueue
from agent.plant.directory import directory
from agent.plant.people import Directory
from agent.plant.responsibility import Duty, responsible
from agent.plant.settings import SiteSettings
from agent.records.tickets.model import Event, Opening, Ticket, farther, worse
from agent.records.tickets.rows import occurrence, ticket, ticket_event
from agent.records.tickets.rules import Key, Occurrence, decide, on_occurrence, open_ticket, recurrence, timers
from agent.records.tickets.rules.opening import derived
from agent.records.tickets.rules.repeats import SPC
from agent.records.tickets.store import (
    event_of,
    get,
    history,
    last_closed_by_key,
    learn,
    listing,
    occurrences,
    open_by_key,
    outbox_of,
)
from agent.records.tickets.writing.numbers import next_number, reserve
from agent.records.tickets.writing.take_back import take_back
from agent.records.tickets.writing.telling import append_and_tell

__all__ = [
    "Key",
    "Occurrence",
    "Setup",
    "Tickets",
    "get",
    "history",
    "key_of",
    "listing",
    "occurrences",
    "outbox_of",
    "take_fact",
]

log = logging.getLogger(__name__)
MAX_SWEEP = 200
RESYNC = 500


@dataclass(frozen=True, slots=True)
class Setup:
    """What the settings say about tickets."""

    policy: Policy
    duties: Sequence[Duty]
    default_owner: str
    quality: tuple[str, ...]
    fallback: tuple[str, ...]
    labels: Mapping[str, Text]
    categories: Mapping[str, str]
    """Category by characteristic."""
    other: str
    """Category of what is of no configured characteristic."""


class Tickets:
    """The tickets of one edge."""

    def __init__(self, site: SiteSettings, setup: Setup) -> None:
        self._site, self._setup = site, setup

    def directory(self, conn: Connection) -> Directory:
        """People and labels at this moment."""
        return directory(conn, self._setup.fallback, self._setup.labels)

    def raise_ticket(
        self, conn: Connection, now: datetime, actor: Actor, *, uuid: str, category: str, severity: str,
        title: str = "", description: str = "", station: str | None = None, characteristic: str | None = None,
        photos: Sequence[str] = (), channel: str = "kiosk", at: datetime | None = None,
    ) -> Ticket:  # fmt: skip
        """Open a ticket that a person or a program reports; the same `uuid` again gives the same ticket. Refused.

        `at` is when it was entered, if it waited on a tablet: its deadlines begin then.
        """
        known = conn.execute(select(ticket_event.c.ticket).where(ticket_event.c.uuid == uuid)).scalar()
        if known is not None and (found := get(conn, known)) is not None:
            return found
        for kind, value in (("category", category), ("station", station), ("characteristic", characteristic)):
            if value is not None and f"{kind}:{value}" not in self._setup.labels:
                raise Refused(f"tickets.refused.{kind}", value=value)
        place = f"station:{station}" if station else f"line:{self._site.line.id}"
        words = title.strip() or text(
            "tickets.title.reported", category=self._setup.labels[f"category:{category}"],
            station=self._setup.labels.get(place, place),
        )  # fmt: skip
        opening = Opening(
            channel=channel, category=category, severity=severity, title=words, description=description,
            site=self._site.id, line=self._site.line.id, station=station, characteristic=characteristic,
            reporter=actor.person, photos=tuple(photos),
        )  # fmt: skip
        return self._open(conn, now, actor, opening, uuid, at)

    def act(
        self, conn: Connection, now: datetime, no: str, action: str, args: Mapping[str, Any], actor: Actor, uuid: str,
        at: datetime | None = None,
    ) -> Ticket:  # fmt: skip
        """Do a step. `at` is when it was done, if earlier than now. The same `uuid` again changes nothing. Refused."""
        found = get(conn, no)
        if found is None:
            raise Refused("tickets.refused.unknown", no=no)
        if conn.execute(select(ticket_event.c.uuid).where(ticket_event.c.uuid == uuid)).first():
            return found
        newer = open_by_key(conn, found.dedup_key) if action == "reopen" and found.dedup_key else None
        if newer is not None and newer.no != no:
            raise Refused("tickets.refused.newer", no=no, newer=newer.no)
        found = self._told(conn, now, found)
        events = decide(found, action, args, actor, min(at or now, now), uuid, self.directory(conn))
        return self._append(conn, now, found, events)

    def occur(
        self, conn: Connection, now: datetime, seen: Occurrence, opening: Opening | None = None
    ) -> tuple[str, str]:
        """Take a violation; returns the ticket's number and opened, appended, recurred, reopened or duplicate.

        `opening` is used if a ticket is to be opened: its title, severity and figures describe the violation. Without
        one (another SPC system handed it in) it is made of the key.
        """
        known = conn.execute(
            select(occurrence.c.ticket).where(occurrence.c.event_id == seen.id)
        ).scalar_one_or_none()  # fmt: skip
        if known is not None:
            return known, "duplicate"
        key = seen.key.dedup
        current, closed = open_by_key(conn, key), last_closed_by_key(conn, key)
        outcome = on_occurrence(current, closed, seen, now, self._setup.policy)
        if outcome.kind == "opened":
            opened = replace(
                opening or self._opening(seen),
                dedup_key=key,
                rules=seen.rules,
                event_at=seen.at,
                recurrence_of=outcome.recurrence_of,
            )
            after = self._open(conn, now, SPC, opened, derived(self._site.id, "opened", seen.id))
            if outcome.recurrence_of is not None and closed is not None:
                self._append(conn, now, closed, [recurrence(closed, after.no, now)])
        elif outcome.kind == "counted":
            assert outcome.ticket is not None
            after = outcome.ticket
            self._count(conn, now, after, seen)
        else:
            assert outcome.ticket is not None
            after = self._append(conn, now, outcome.ticket, outcome.events)
        result = {"counted": "appended"}.get(outcome.kind, outcome.kind)
        data = {"figures": dict(seen.figures), "severity": seen.severity}
        conn.execute(insert(occurrence).values(
            event_id=seen.id, ticket=after.no, result=result, at=seen.at, rules=list(seen.rules), data=data
        ))  # fmt: skip
        return after.no, result

    def _opening(self, seen: Occurrence) -> Opening:
        key, setup = seen.key, self._setup
        name = setup.labels.get(f"characteristic:{key.characteristic}", key.characteristic or key.station or "—")
        category = setup.categories.get(key.characteristic or "", setup.other)
        return Opening(
            channel="api", category=category, severity=seen.severity or "watch",
            title=text("tickets.title.rules", characteristic=name, rules=", ".join(seen.rules)),
            site=key.site, line=key.line, station=key.station, part_no=key.part_no,
            characteristic=key.characteristic, stream=key.stream, figures=dict(seen.figures),
        )  # fmt: skip

    @property
    def policy(self) -> Policy:
        """What a ticket opened now is promised."""
        return self._setup.policy

    def sweep(self, conn: Connection, now: datetime) -> int:
        """Do what time asks for: reminders, breaches, escalations, closings, counters on cards. Returns how many."""
        who = self.directory(conn)
        due = conn.execute(
            select(ticket.c.no).where(ticket.c.next_timer_at <= now).order_by(ticket.c.next_timer_at).limit(MAX_SWEEP)
        ).scalars().all()  # fmt: skip
        for no in due:
            found = get(conn, no)
            if found is not None:
                found = self._told(conn, now, found)
                self._append(conn, now, found, timers(found, now, who))
        counted = conn.execute(select(ticket.c.no).where(ticket.c.card_due_at <= now).limit(MAX_SWEEP)).scalars().all()
        for no in counted:
            self._say_count(conn, now, no)
        return len(due) + len(counted)

    def resync(self, conn: Connection, now: datetime, place: int) -> int | None:
        """The relay lost its store: tell it the next slice of events again (they keep their uuids), from `place` on.

        Returns the place after the slice, None when that was all.
        """
        rows = conn.execute(
            select(ticket_event).where(ticket_event.c.id > place).order_by(ticket_event.c.id).limit(RESYNC)
        ).all()
        for row in rows:
            enqueue(conn, now, Item(row.ticket, "fact", "fact", event_of(row).as_json()))
        return rows[-1].id if len(rows) == RESYNC else None

    def _open(
        self, conn: Connection, now: datetime, actor: Actor, opening: Opening, uuid: str, at: datetime | None = None
    ) -> Ticket:
        setup = self._setup
        duty = responsible(
            setup.duties, line=opening.line, station=opening.station, characteristic=opening.characteristic,
            category=opening.category,
        )  # fmt: skip
        owner = opening.owner or (duty.owner if duty else setup.default_owner)
        team = dict.fromkeys((*opening.team, *(duty.team if duty else ()), *setup.quality))
        opening = replace(opening, owner=owner, team=tuple(p for p in team if p != owner))
        event = open_ticket(next_number(conn, now, self._site), opening, actor, at or now, uuid, setup.policy)
        return self._append(conn, now, None, [event])

    def _append(self, conn: Connection, now: datetime, before: Ticket | None, events: Sequence[Event]) -> Ticket:
        return append_and_tell(conn, now, self._site.edge, before, events, self.directory(conn))

    def take_back(self, conn: Connection, now: datetime, histories: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Take the tickets that a lost or restored store has forgotten, as the relay was told them."""
        who = self.directory(conn)
        for job in (self._reserve, self._take_one):
            for told in histories:
                try:
                    with conn.begin_nested():
                        job(conn, now, told, who)
                except UNREADABLE:
                    # the relay stands in the DMZ: what it says must not be able to stop the edge
                    log.exception("a ticket that the relay gave back cannot be read and is passed over")

    @staticmethod
    def _reserve(conn: Connection, now: datetime, told: Sequence[Mapping[str, Any]], who: Directory) -> None:
        reserve(conn, str(told[0]["ticket"]))

    def _take_one(self, conn: Connection, now: datetime, told: Sequence[Mapping[str, Any]], who: Directory) -> None:
        take_back(conn, now, self._site, [Event.from_json(event) for event in told], who)

    def _count(self, conn: Connection, now: datetime, found: Ticket, seen: Occurrence) -> None:
        """One more of the same: the count is durable at once, card and history follow at most once per interval."""
        interval = timedelta(seconds=self._setup.policy.card_interval_s)
        row = conn.execute(select(ticket.c.card_due_at, ticket.c.card_sent_at).where(ticket.c.no == found.no)).one()
        values: dict[str, Any] = {"occurrences": found.occurrences + seen.count}
        if row.card_due_at is None:
            values["card_due_at"] = max(now, row.card_sent_at + interval) if row.card_sent_at else now
        conn.execute(update(ticket).where(ticket.c.no == found.no).values(**values))

    def _told(self, conn: Connection, now: datetime, found: Ticket) -> Ticket:
        """The ticket with its count in the history: an event that carries no count must not follow an untold one, or
        whoever folds the events alone (the relay) keeps the old count."""
        due = conn.execute(select(ticket.c.card_due_at).where(ticket.c.no == found.no)).scalar_one()
        return found if due is None else self._say_count(conn, now, found.no)

    def _say_count(self, conn: Connection, now: datetime, no: str) -> Ticket:
        conn.execute(update(ticket).where(ticket.c.no == no).values(card_due_at=None))
        found = get(conn, no)
        assert found is not None, no
        totals = conn.execute(
            select(func.min(occurrence.c.at), func.max(occurrence.c.at)).where(occurrence.c.ticket == no)
        ).one()
        newest = conn.execute(
            select(occurrence).where(occurrence.c.ticket == no).order_by(occurrence.c.at.desc()).limit(500)
        ).all()
        severity, worst = found.severity, found.worst
        for row in newest:
            severity = worse(severity, row.data.get("severity"))
            worst = farther(worst, row.data["figures"])
        data = {
            "occurrences": found.occurrences, "rules": list(dict.fromkeys(r for row in newest for r in row.rules)),
            "first_at": totals[0].isoformat(), "last_at": totals[1].isoformat(), "severity": severity,
            "figures": newest[0].data["figures"], "worst": dict(worst),
        }  # fmt: skip
        uuid = derived(no, "counted", found.cycle, found.occurrences)
        event = Event(uuid, no, found.cycle, found.seq + 1, now, SYSTEM, "spc", "counted", data)
        return self._append(conn, now, found, [event])


def key_of(site: SiteSettings, data: Mapping[str, Any]) -> Key:
    """The key of a violation that another system hands in; parts it leaves out are this site's and line's."""

    def part(name: str, default: str | None = None) -> str | None:
        value = data.get(name)
        return default if value in (None, "") else str(value)

    return Key(
        part("site", site.id), part("line", site.line.id), part("station"), part("part_no"), part("characteristic"),
        part("stream"),
    )  # fmt: skip


def take_fact(conn: Connection, now: datetime, edge: str, payload: Mapping[str, Any]) -> None:
    """The relay takes an edge's event into the plant's read model, folded by the same code (ingress handler "fact")."""
    learn(conn, edge, Event.from_json(payload))
