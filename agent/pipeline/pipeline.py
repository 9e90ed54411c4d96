"""The way of every measurement. Charts live in memory on the store thread.

When a transaction fails, charts are loaded again from the store before the next one, so memory never runs ahead of what
is durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import orjson
from sqlalchemy import Connection

from agent.clock import Clock
from agent.errors import Refused
from agent.metrics import Metrics
from agent.model import Actor, Quality, Signal
from agent.pipeline.judge import Occur, judge
from agent.plant.points import journal
from agent.plant.points.latches import latches, release
from agent.plant.points.live import SHOWN, Live, LivePoint
from agent.plant.points.tracks import Charted, Track, gap, limits_of, load_track, newest_points, save, take
from agent.plant.settings import CharacteristicSettings
from agent.spc.charts.base import VALUE_MAX
from agent.store.metadata import to_us
from agent.store.write import Store, StoreFull, announce

T = TypeVar("T")
log = logging.getLogger(__name__)

FOLD_AT = 20_000
"""Samples in the journal that are worth a fold: with 1,000 streams each page is written once for twenty of them."""
FOLD_EVERY_S = 60.0


@dataclass(slots=True)
class Applied:
    """What a batch did, for the live picture: newest value per characteristic and the points it charted."""

    values: dict[str, tuple[float | None, datetime, datetime, Quality]] = field(default_factory=dict)
    points: dict[str, list[LivePoint]] = field(default_factory=dict)
    open: dict[str, list[float]] = field(default_factory=dict)
    held: dict[str, Mapping[str, Any] | None] = field(default_factory=dict)
    """What a tile latches now, where that changed."""
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
        self._routes: dict[tuple[str, str], Track] = {}
        """The track a signal goes to, by source and tag; as far as they are loaded."""
        self._latched: set[str] = set()
        """Characteristics that may have a latch."""
        self._lost = False
        self.live: dict[str, Live] = {}
        self.unfolded = 0
        """Samples that wait in the journal, about."""

    async def load(self) -> None:
        """Load charts by replay and the live picture from the store."""
        self.live = await self.submitted(self._load)

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

    async def keep_folding(self) -> None:
        """A task: fold when many samples wait, or some for long."""
        folded_at, failed = self._clock.monotonic(), False
        while True:
            await asyncio.sleep(1)
            now = self._clock.monotonic()
            if self.unfolded < FOLD_AT and not (self.unfolded and now - folded_at >= FOLD_EVERY_S):
                continue
            try:
                await self.fold()
                failed = False
            except StoreFull as error:
                if not failed:
                    log.error("samples stay in the journal: %s", error)
                failed = True
            folded_at = self._clock.monotonic()

    async def fold(self) -> None:
        """Move the samples of the journal to their streams, a slice a transaction, so that nobody waits for long."""
        streams = await asyncio.to_thread(self._waiting)
        for first, last in journal.slices(streams):
            await self.submitted(lambda conn, first=first, last=last: self._fold(conn, first, last))  # type: ignore[misc]

    def _waiting(self) -> list[tuple[int, int]]:
        with self._store.read() as conn:
            return journal.waiting(conn)

    def _fold(self, conn: Connection, first: int, last: int) -> None:
        journal.fold(conn, first, last)
        for track in self._tracks.values():
            if first <= track.id <= last:
                self.unfolded -= len(track.recent)
                track.recent.clear()

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
        self._chart(conn, now, [(track, signal) for signal in signals], applied)
        return applied

    async def _run(self, job: Callable[[Connection], Applied]) -> Applied:
        applied = await self.submitted(job)
        self.show(applied)
        return applied

    async def submitted(self, job: Callable[[Connection], T]) -> T:
        """`submit` for the loop."""
        return await asyncio.shield(asyncio.wrap_future(self.submit(job)))

    def submit(self, job: Callable[[Connection], T]) -> Future[T]:
        """A transaction that charts: if it is not kept, charts are loaded again before the next one."""
        return self._store.submit(job, self._undone)

    def _undone(self) -> None:
        self._lost = True

    def _reload_if_lost(self, conn: Connection) -> None:
        if self._lost:
            self._reload(conn)

    def _reload(self, conn: Connection) -> None:
        """Nothing that is in memory counts; charts are loaded when they are asked for."""
        journal.fold_all(conn)
        self._tracks.clear()
        self._routes.clear()
        self._latched = set(latches(conn))
        self.unfolded = 0
        self._lost = False

    def _track(self, conn: Connection, characteristic: str, stream: str) -> Track:
        track = self._tracks.get((characteristic, stream))
        if track is None:
            settings = self._settings[characteristic]
            limits = limits_of(conn, self._clock.now(), settings)
            track = self._tracks[characteristic, stream] = load_track(conn, settings, stream, limits)
            track.moved = True
            save(conn, (track,))
        return track

    def _route(self, conn: Connection, signal: Signal) -> Track | None:
        """The track of a signal; None if no characteristic reads it."""
        characteristic = self._by_tag.get((signal.source, signal.tag))
        if characteristic is None:
            self._metrics.inc("andon_signals_unmapped_total", source=signal.source)
            return None
        track = self._routes[signal.source, signal.tag] = self._track(conn, characteristic, "")
        return track

    def _signals(self, conn: Connection, signals: Sequence[Signal]) -> Applied:
        self._reload_if_lost(conn)
        now, applied, routes = self._clock.now(), Applied(), self._routes
        mine = []
        for signal in signals:
            track = routes.get((signal.source, signal.tag)) or self._route(conn, signal)
            if track is not None:
                mine.append((track, signal))
        self._chart(conn, now, mine, applied)
        return applied

    def _chart(
        self, conn: Connection, now: datetime, signals: Iterable[tuple[Track, Signal]], applied: Applied
    ) -> None:
        named = [(track, signal, _identity(signal)) for track, signal in signals]
        before = journal.folded(conn, [(track.id, name) for track, _, name in named if name is not None])
        rows: list[journal.Row] = []
        changed: dict[int, Track] = {}
        for track, signal, identity in named:
            value = signal.value
            if value is None or signal.quality is Quality.BAD or not -VALUE_MAX < value < VALUE_MAX:
                self._gap(track, signal, now, applied)
                changed[track.id] = track
                continue
            if identity is not None:
                if identity in track.recent or (before and (track.id, identity) in before):
                    applied.duplicates += 1
                    continue
                track.recent.add(identity)
            at = signal.source_at or signal.received_at
            applied.values[track.settings.id] = (value, at, signal.received_at, signal.quality)
            charted = take(track, value, at)
            changed[track.id] = track
            if identity is not None or charted is not None:
                rows.append(_row(track, identity, signal, charted))
            if charted is not None:
                self._judge(conn, now, track, charted, applied)
        journal.append(conn, rows)
        self.unfolded += len(rows)
        self._close(conn, changed.values(), applied)

    def _close(self, conn: Connection, changed: Iterable[Track], applied: Applied) -> None:
        """Write where the charts stand, and say what changed."""
        save(conn, changed)
        for track in changed:
            characteristic = track.settings.id
            if track.settings.n > 1:
                applied.open[characteristic] = list(track.groups.open)
            announce(conn, f"point:{characteristic}")

    def _gap(self, track: Track, signal: Signal, now: datetime, applied: Applied) -> None:
        """A value that is bad, or a number no chart can take: in an open subgroup it would fail every one after it."""
        if signal.value is not None and signal.quality is not Quality.BAD:
            self._metrics.inc("andon_signals_unplottable_total", source=signal.source)
        gap(track)
        applied.values[track.settings.id] = (None, signal.source_at or now, signal.received_at, Quality.BAD)

    def _judge(self, conn: Connection, now: datetime, track: Track, charted: Charted, applied: Applied) -> None:
        characteristic, mark = track.settings.id, charted.mark
        applied.points.setdefault(characteristic, []).append(LivePoint(charted.at, charted.y, mark, charted.rules))
        if mark is not None:
            self._latched.add(characteristic)
            violation, held = judge(conn, now, self._edge, track, charted, self._occur)
            applied.violations.append(violation)
            if held is not None:
                applied.held[characteristic] = held
            if mark == "ticket":
                applied.ticket = violation["ticket"]
                self._metrics.inc("andon_violations_total", characteristic=characteristic)
        elif track.clean == 0 and track.episode is None and characteristic in self._latched:
            self._release(conn, characteristic, applied)

    def _release(self, conn: Connection, characteristic: str, applied: Applied) -> None:
        """A point in order: what needs nobody is released; what somebody must act on is looked for at the next one."""
        if release(conn, characteristic):
            applied.held[characteristic] = None
            self._latched.discard(characteristic)

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


def _identity(signal: Signal) -> str | None:
    """What a repeated delivery is known by: the device's id, or its source time and value; None if it sent neither."""
    if signal.id is not None:
        return signal.id
    return None if signal.source_at is None else f"{signal.source_at!s}={signal.value!r}"


def _row(track: Track, identity: str | None, signal: Signal, charted: Charted | None) -> journal.Row:
    received = to_us(signal.received_at)
    if charted is None:
        return (track.id, identity, received, *[None] * 9)
    return (
        track.id, identity, received, charted.seq, to_us(charted.at), charted.y, charted.dispersion,
        len(charted.values), None if len(charted.values) == 1 else orjson.dumps(charted.values).decode(),
        orjson.dumps(charted.rules).decode() if charted.rules else None, charted.mark, track.version,
    )  # fmt: skip
