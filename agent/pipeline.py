"""Signal → measurement → chart → violation → ticket: one transaction a batch, acknowledged after its commit.

Charts live in memory on the store thread. When a transaction fails, they are loaded again from the store before the
next one, so memory never runs ahead of what is durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from agent.clock import Clock
from agent.errors import Refused
from agent.metrics import Metrics
from agent.model import Actor, Quality, Signal, Text, text
from agent.plant.latches import KNOWN, latch_of, latches, release, set_latch
from agent.plant.live import SHOWN, Live, LivePoint
from agent.plant.settings import CharacteristicSettings
from agent.plant.tracks import Charted, Track, gap, limits_of, load_track, newest_points, save, take
from agent.spc.charts.base import plottable
from agent.store.facts import epoch
from agent.store.metadata import to_us
from agent.store.write import Store, StoreFull, announce

log = logging.getLogger(__name__)


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


@dataclass(slots=True)
class Applied:
    """What a batch did, for the live picture: newest value per characteristic and the points it charted."""

    values: dict[str, tuple[float | None, datetime, datetime, Quality]] = field(default_factory=dict)
    points: dict[str, list[LivePoint]] = field(default_factory=dict)
    open: dict[str, list[float]] = field(default_factory=dict)
    held: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    """What a tile latches now, of each characteristic that was charted."""
    violations: list[dict[str, Any]] = field(default_factory=list)
    ticket: str | None = None
    duplicates: int = 0


class Pipeline:
    """The way of every measurement. `load` first, then `emit` (signals) and `enter` (typed in by a person)."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        edge: str,
        characteristics: Sequence[CharacteristicSettings],
        stale_after_s: Callable[[CharacteristicSettings], float | None],
        occur: Occur,
        metrics: Metrics,
    ) -> None:
        self._store, self._clock, self._edge, self._occur, self._metrics = store, clock, edge, occur, metrics
        self._settings = {c.id: c for c in characteristics}
        self._stale_after_s = stale_after_s
        self._by_tag = {(c.source, c.tag): c.id for c in characteristics if c.entry == "signal"}
        self._tracks: dict[tuple[str, str], Track] = {}
        self._lost = False
        self.live: dict[str, Live] = {}

    async def load(self) -> None:
        """Load charts by replay and the live picture from the store."""
        self.live = await self._store.write(self._load)

    def _load(self, conn: Connection) -> dict[str, Live]:
        self._reload(conn)
        held = latches(conn)
        found = {}
        for settings in self._settings.values():
            limits = self._track(conn, settings.id, "").limits
            live = Live(settings, limits.center, limits.lcl, limits.ucl, self._stale_after_s(settings))
            for row in newest_points(conn, settings.id, SHOWN):
                live.points.append(LivePoint(row.at, row.y, row.mark, tuple(row.rules or ())))
                live.value, live.at, live.received_at = row.y, row.at, row.at
            live.quality = Quality.GOOD if live.points else Quality.STALE
            live.open = list(self._track(conn, settings.id, "").groups.open)
            live.violation = held.get(settings.id)
            found[settings.id] = live
        return found

    async def emit(self, signals: Sequence[Signal]) -> None:
        """Chart signals; returns once they are durable. Raises StoreFull: then nothing of them was kept.

        A signal that trips a bug is set aside alone and counted; the others of its batch are kept.
        """
        try:
            await self._run(lambda conn: self._signals(conn, signals))
        except StoreFull:
            raise
        except Exception as error:
            if len(signals) == 1:
                self._metrics.inc("andon_pipeline_failures_total")
                log.error("signal %s/%s set aside", signals[0].source, signals[0].tag, exc_info=error)
                return
            for signal in signals:
                await self.emit([signal])

    async def enter(
        self, characteristic: str, values: Sequence[float], actor: Actor, identity: str, stream: str = ""
    ) -> Applied:
        """Chart values typed in by a person, like any other. Raises Refused (unknown, too many) or StoreFull."""
        return await self._run(
            lambda conn: self.measure(conn, self._clock.now(), characteristic, values, actor, identity, stream)
        )

    def measure(
        self, conn: Connection, now: datetime, characteristic: str, values: Sequence[float], actor: Actor,
        identity: str, stream: str = "",
    ) -> Applied:  # fmt: skip
        """The same inside a caller's transaction; hand the result to `show` on the loop once that is committed."""
        settings = self._settings.get(characteristic)
        if settings is None:
            raise Refused("measure.unknown", id=characteristic)
        if not 1 <= len(values) <= settings.n:
            raise Refused("measure.count", n=settings.n, got=len(values))
        signals = [
            Signal("", characteristic, float(value), now, id=f"{identity}:{i}") for i, value in enumerate(values)
        ]
        self._reload_if_lost(conn)
        applied = Applied()
        track = self._track(conn, settings.id, stream)
        self._chart(conn, now, track, signals, applied)
        return applied

    async def _run(self, job: Callable[[Connection], Applied]) -> Applied:
        applied = await asyncio.shield(asyncio.wrap_future(self.submit(job)))
        self.show(applied)
        return applied

    def submit(self, job: Callable[[Connection], Applied]) -> Future[Applied]:
        """A transaction that charts: if it is not kept, charts are loaded again before the next one."""
        return self._store.submit(job, self._undone)

    def _undone(self) -> None:
        self._lost = True

    def _reload_if_lost(self, conn: Connection) -> None:
        if self._lost:
            self._reload(conn)

    def _reload(self, conn: Connection) -> None:
        self._tracks.clear()
        self._lost = False

    def _track(self, conn: Connection, characteristic: str, stream: str) -> Track:
        track = self._tracks.get((characteristic, stream))
        if track is None:
            settings = self._settings[characteristic]
            limits = limits_of(conn, self._clock.now(), settings)
            track = self._tracks[characteristic, stream] = load_track(conn, settings, stream, limits)
            save(conn, track)
        return track

    def _signals(self, conn: Connection, signals: Sequence[Signal]) -> Applied:
        self._reload_if_lost(conn)
        now, applied = self._clock.now(), Applied()
        by_track: dict[str, list[Signal]] = {}
        for signal in signals:
            characteristic = self._by_tag.get((signal.source, signal.tag))
            if characteristic is None:
                self._metrics.inc("andon_signals_unmapped_total", source=signal.source)
                continue
            by_track.setdefault(characteristic, []).append(signal)
        for characteristic, group in by_track.items():
            self._chart(conn, now, self._track(conn, characteristic, ""), group, applied)
        return applied

    def _chart(
        self, conn: Connection, now: datetime, track: Track, signals: Iterable[Signal], applied: Applied
    ) -> None:
        rows: list[tuple[Any, ...]] = []
        characteristic = track.settings.id
        for signal in signals:
            if signal.value is None or signal.quality is Quality.BAD or not self._plottable(signal):
                gap(track)
                applied.values[characteristic] = (None, signal.source_at or now, signal.received_at, Quality.BAD)
                continue
            if not self._first_time(conn, track, signal):
                applied.duplicates += 1
                continue
            at = signal.source_at or signal.received_at
            applied.values[characteristic] = (signal.value, at, signal.received_at, signal.quality)
            charted = take(track, signal.value, at)
            if charted is not None:
                rows.append(_row(track, charted))
                self._judge(conn, now, track, charted, applied)
        if rows:
            conn.exec_driver_sql(
                'INSERT INTO point (stream, seq, at, y, dispersion, n, "values", rules, mark, limit_version) '
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            applied.held[characteristic] = latch_of(conn, characteristic)
        if track.changed:
            save(conn, track)
            applied.open[characteristic] = list(track.groups.open)
            announce(conn, f"point:{characteristic}")

    def _plottable(self, signal: Signal) -> bool:
        """False for a number no chart can take: kept in an open subgroup, it would stop every value after it."""
        if signal.value is not None and plottable(signal.value):
            return True
        self._metrics.inc("andon_signals_unplottable_total", source=signal.source)
        return False

    @staticmethod
    def _first_time(conn: Connection, track: Track, signal: Signal) -> bool:
        """Whether this sample is new. A repeated delivery is known by the device's id, or its source time and value."""
        if signal.id is None and signal.source_at is None:
            return True
        identity = signal.id if signal.id is not None else f"{signal.source_at!s}={signal.value!r}"
        done = conn.exec_driver_sql(
            "INSERT OR IGNORE INTO sample_seen (stream, identity, at) VALUES (?, ?, ?)",
            (track.id, identity, to_us(signal.received_at)),
        )
        return done.rowcount == 1

    def _judge(self, conn: Connection, now: datetime, track: Track, charted: Charted, applied: Applied) -> None:
        settings, mark = track.settings, charted.mark
        applied.points.setdefault(settings.id, []).append(LivePoint(charted.at, charted.y, mark, charted.rules))
        if mark is None:
            if track.clean == 0 and track.episode is None:
                release(conn, settings.id)
            return
        words = says(track, charted)
        shown = [*charted.ticket_rules, *charted.warning_rules] or ["SPEC"]
        ticket, fresh = None, True
        if mark == "ticket":
            # of a store restored from a copy, points get numbers again that were used: hence its epoch
            point = f"{settings.id}:{track.name}:{track.limits.version}:{charted.seq}"
            event_id = f"{self._edge}:{point}@{epoch(conn)[:8]}"
            ticket, fresh = self._occur(
                conn, now, Violation(event_id, settings, track.name, charted, figures(track, charted), words)
            )
            applied.ticket = ticket
            self._metrics.inc("andon_violations_total", characteristic=settings.id)
        set_latch(conn, settings.id, shown, mark if fresh else KNOWN, charted.at, charted.y, words, ticket)
        applied.violations.append({"rules": shown, "severity": mark, "at": charted.at.isoformat(), "value": charted.y,
                                   "text": words, "ticket": ticket})  # fmt: skip

    def show(self, applied: Applied) -> None:
        """Bring the live picture up to date (on the loop, after the commit)."""
        for characteristic, (value, at, received_at, quality) in applied.values.items():
            live = self.live[characteristic]
            live.received_at, live.quality = received_at, quality
            if value is not None and live.settings.n == 1:
                live.value, live.at = value, at
        for characteristic, points in applied.points.items():
            live = self.live[characteristic]
            live.points.extend(points)
            live.value, live.at = points[-1].y, points[-1].at
        for characteristic, values in applied.open.items():
            self.live[characteristic].open = values
        for characteristic, held in applied.held.items():
            self.live[characteristic].violation = held

    async def refresh_latches(self) -> None:
        """Read the latches again, after somebody acted on a ticket; in the order of the transactions."""
        held = await self._store.write(latches)
        for characteristic, live in self.live.items():
            live.violation = held.get(characteristic)


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


def _row(track: Track, charted: Charted) -> tuple[Any, ...]:
    return (
        track.id, charted.seq, to_us(charted.at), charted.y, charted.dispersion, len(charted.values),
        None if len(charted.values) == 1 else orjson.dumps(charted.values).decode(),
        orjson.dumps(charted.rules).decode() if charted.rules else None, charted.mark, track.version,
    )  # fmt: skip
