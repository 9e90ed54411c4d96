"""What the stream tells, and when: it listens to commits and to the passing of time, and feeds the hub.

One task does everything in turn, so a snapshot and the events after it are in order. Without readers it does nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select

from agent.plant.devices import touch
from agent.plant.people import Directory
from agent.plant.rows import device
from agent.records.tickets import board
from agent.records.tickets.model import OVER, Ticket
from agent.records.tickets.service import get, listing
from agent.store.write import StoreFull
from agent.ui.api import views
from agent.ui.api.caller import SEEN_EVERY
from agent.ui.hub import Hub
from agent.ui.parts import EdgeParts

TURN_S = 0.25
SETTLE_S = 0.05
"""Pause after a commit was heard: the live picture is renewed on the loop just after it."""
TILE_S = 0.5
"""A tile is told at most that often."""
SECOND_S = 1.0
"""How often ages, lamps, message counters and links are looked at."""
BEAT_S = 2.0
AGAIN_S = 30.0
"""Time left stands in sentences: tickets are told again when that much of the plant's time went by, in either direction
(a clock that was put right, or the demo's 快进)."""


@dataclass(slots=True)
class _News:
    """What was heard since the last turn."""

    tickets: set[str] = field(default_factory=set)
    tiles: set[str] = field(default_factory=set)
    outbox: bool = False
    people: bool = False
    devices: bool = False


@dataclass(slots=True)
class _Shown:
    """A ticket as it was last told; `lamp` None: not yet."""

    ticket: Ticket
    counts: Mapping[str, int]
    lamp: object = None
    told_at: datetime | None = None


def _old(told_at: datetime | None, now: datetime) -> bool:
    return told_at is None or abs((now - told_at).total_seconds()) >= AGAIN_S


class Feed:
    """Feeds a hub from an edge. `run` is its task."""

    def __init__(self, parts: EdgeParts, hub: Hub) -> None:
        self._parts, self._hub = parts, hub
        self._waits: views.Waiting = (0, None)
        self._who = Directory()
        self._good: frozenset[str] = frozenset()
        """Credentials that are not revoked."""
        self._due = {"second": 0.0, "beat": 0.0, "seen": 0.0}
        self._forget()

    def _forget(self) -> None:
        self._news = _News()
        self._tickets: dict[str, _Shown] | None = None
        """Open tickets; None: to be loaded."""
        self._tiles: dict[str, tuple[object, float]] = {}
        """By characteristic what its tile looked like when it was last told, and when that was."""
        self._told: dict[str, object] = {}

    async def run(self) -> None:
        """Until cancelled."""
        loop = asyncio.get_running_loop()

        def on_commit(topics: frozenset[str]) -> None:  # on the store thread
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody reads any more
                loop.call_soon_threadsafe(self._hear, topics)

        self._parts.store.on_commit(on_commit)
        while True:
            await self._hub.wait(TURN_S if self._hub.readers else 60)
            if self._hub.readers:
                await asyncio.sleep(SETTLE_S)
                await self.turn(loop.time())
            else:
                self._forget()

    def _hear(self, topics: frozenset[str]) -> None:
        """Also while nobody reads: what is remembered here must not fall behind before `run` forgets it."""
        for topic in topics:
            kind, _, name = topic.partition(":")
            if kind == "ticket":
                self._news.tickets.add(name)
            elif kind == "point":
                self._news.tiles.add(name)
            self._news.outbox |= kind == "outbox"
            self._news.people |= kind == "people"
            self._news.devices |= kind == "device"
        self._hub.wake()

    async def turn(self, t: float) -> None:
        """Tell what is due at loop time `t`."""
        news, self._news = self._news, _News()
        second, beat = self._is_due("second", t, SECOND_S), self._is_due("beat", t, BEAT_S)
        self._news.outbox, news.outbox = news.outbox and not second, news.outbox and second
        news.devices |= beat
        if self._tickets is None or news.people or news.tickets or news.outbox or news.devices:
            await asyncio.to_thread(self._look, news)
        for reader in self._hub.readers:
            if news.people:
                reader.fall_behind()
            if news.devices and reader.credential not in self._good:
                reader.end()
        now = self._parts.clock.now()
        self._tell_tickets(now, news.tickets, second)
        self._tell_tiles(now, t, list(self._parts.pipeline.live) if second else news.tiles)
        if second:
            self._tell_health(now, t)
        if beat:
            self._hub.publish("beat", {"now": now.isoformat()})
        self._hub.flush()
        self._tell_snapshots(now)
        if self._is_due("seen", t, SEEN_EVERY.total_seconds()):
            self._note_seen(now)

    def _is_due(self, what: str, t: float, every_s: float) -> bool:
        due = t >= self._due[what]
        if due:
            self._due[what] = t + every_s
        return due

    def _look(self, news: _News) -> None:
        """Read what is needed, in one snapshot of the store (on a thread; the loop waits for it)."""
        with self._parts.store.read() as conn:
            if self._tickets is None:
                found, _ = listing(conn, state="open", limit=views.SHOWN_TICKETS)
                self._tickets = {t.no: _Shown(t, {}) for t in found}
                self._who = self._parts.tickets.directory(conn)
                news.outbox = True
            if news.people:
                self._who = self._parts.tickets.directory(conn)
            for no in news.tickets:
                if (found_now := get(conn, no)) is not None:
                    before = self._tickets.get(no)
                    self._tickets[no] = _Shown(found_now, before.counts if before else {})
            counted = list(self._tickets) if news.outbox else news.tickets & self._tickets.keys()
            for no, counts in views.outboxes(conn, counted).items():
                shown = self._tickets[no]
                if shown.counts != counts:
                    shown.counts, shown.lamp = counts, None
            if news.outbox:
                self._waits = views.waiting(conn)
            if news.devices:
                good = select(device.c.token_hash).where(device.c.revoked_at.is_(None))
                self._good = frozenset(conn.execute(good).scalars())

    def _tell_tickets(self, now: datetime, changed: set[str], second: bool) -> None:
        """Changed tickets; once a second also those whose lamp, marks or counters changed, and all after AGAIN_S."""
        assert self._tickets is not None
        for no in list(self._tickets) if second else changed & self._tickets.keys():
            shown = self._tickets[no]
            found = shown.ticket
            lamp = (board.attention(found, now), tuple(d["mark"] for d in board.strip(found, now)))
            if lamp != shown.lamp or _old(shown.told_at, now):
                shown.lamp, shown.told_at = lamp, now
                self._hub.publish("ticket", views.ticket(found, now, self._who, shown.counts), found.station)
            if found.state in OVER:
                del self._tickets[no]

    def _tell_tiles(self, now: datetime, t: float, names: Iterable[str]) -> None:
        for name in names:
            live = self._parts.pipeline.live.get(name)
            if live is None:
                continue
            look = (live.received_at, live.at, live.value, live.quality_at(now), live.violation, tuple(live.open))
            before, told_at = self._tiles.get(name, (None, t - TILE_S))
            if look == before:
                continue
            if t - told_at < TILE_S:
                self._news.tiles.add(name)  # its turn comes
                continue
            self._tiles[name] = (look, t)
            self._hub.publish("tile", views.tile(live, now), live.settings.station)

    def _tell_health(self, now: datetime, t: float) -> None:
        office = views.office(self._parts.link(), self._waits, now)
        aging = t // (AGAIN_S / 3) if office["waiting"] else 0
        self._tell_if_new("office", office, (office["up"], office["since"], office["waiting"], aging))
        sources = views.sources(self._parts.sources.values(), now)
        self._tell_if_new("sources", sources, sources)

    def _tell_if_new(self, event: str, data: Any, look: object) -> None:
        if self._told.get(event) != look:
            self._told[event] = look
            self._hub.publish(event, data)

    def _tell_snapshots(self, now: datetime) -> None:
        assert self._tickets is not None
        for station in {reader.station for reader in self._hub.readers if reader.wants_snapshot}:
            shown = [s for s in self._tickets.values() if station is None or s.ticket.station in (None, station)]
            shown.sort(key=lambda s: (s.ticket.raised_at, s.ticket.no), reverse=True)
            tickets = [views.ticket(s.ticket, now, self._who, s.counts) for s in shown]
            office = views.office(self._parts.link(), self._waits, now)
            self._hub.start_over(station, views.snapshot(self._parts, now, station, self._who, tickets, office))

    def _note_seen(self, now: datetime) -> None:
        """A device with an open stream is heard."""
        credentials = {reader.credential for reader in self._hub.readers}

        def job(conn: Connection) -> None:
            for row in conn.execute(select(device).where(device.c.token_hash.in_(credentials))).all():
                touch(conn, now, row)

        with contextlib.suppress(StoreFull):
            self._parts.store.submit(job)
