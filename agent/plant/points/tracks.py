"""A track: one stream of a characteristic with its chart, subgroup and place in the store.

Tracks live on the store thread. A restart (or a failed commit) loads them again: the last points since the last reset
are replayed, so flags are those of an uninterrupted run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, func, insert, select

from agent.plant.rows import limit_version, point, stream
from agent.plant.settings import SPREAD, CharacteristicSettings
from agent.spc.charts import load_chart
from agent.spc.charts.base import Chart, ChartPoint
from agent.spc.limits import Limits
from agent.spc.severity import Severity, severities, split, watched
from agent.spc.specification import Specification
from agent.spc.subgroups import Subgroups
from agent.store.bulk import write_bulk

# at a start these are asked for each of a thousand characteristics: as text, for the expressions cost ten times as much
_NEWEST_LIMITS = "SELECT * FROM limit_version WHERE characteristic = ? ORDER BY version DESC LIMIT 1"
_STREAM = "SELECT * FROM stream WHERE characteristic = ? AND name = ?"
_HISTORY = "SELECT y, dispersion FROM point WHERE stream = ? AND seq > ? ORDER BY seq DESC LIMIT ?"
_SAVE = (
    "UPDATE stream SET seq = column2, open = column3, reset_seq = column4, limit_version = column5, "
    "episode = column6, clean = column7 FROM (VALUES {rows}) AS stands WHERE id = column1"
)
REARM = 5
"""Points in order after which an episode of violations is over."""


@dataclass(slots=True)
class Track:
    """Mutable; belongs to the store thread."""

    id: int
    settings: CharacteristicSettings
    name: str
    chart: Chart
    severity: Mapping[str, Severity]
    spread: Severity
    """Of a violation on the dispersion chart."""
    specification: Specification
    groups: Subgroups
    version: int
    seq: int
    reset_seq: int
    episode: str | None
    """When the running episode of violations began (ISO time)."""
    clean: int
    moved: bool = False
    """More than `seq` changed since it was saved; `seq` alone follows from the points."""
    recent: set[str] = field(default_factory=set)
    """Identities of samples that wait in the journal."""

    @property
    def limits(self) -> Limits:
        """The frozen limits the chart compares with."""
        return self.chart.limits


@dataclass(slots=True)
class Charted:
    """A point as it was charted: its rules by severity, the values, and whether one is outside specification.

    Never changed after it is made; not frozen, for that makes it 2.5 times as slow to make (as of Python 3.11).
    """

    seq: int
    at: datetime
    y: float
    dispersion: float | None
    values: tuple[float, ...]
    rules: tuple[str, ...]
    ticket_rules: tuple[str, ...]
    warning_rules: tuple[str, ...]
    outside: str | None
    """above or below: a value is outside its specification limits."""
    began_at: datetime | None
    """When its episode of violations began."""

    @property
    def mark(self) -> str | None:
        """ticket, warning or None."""
        if self.ticket_rules or self.outside:
            return "ticket"
        return "warning" if self.warning_rules else None


def limits_of(conn: Connection, now: datetime, settings: CharacteristicSettings) -> Limits:
    """The limits in force; what the file says becomes a new immutable version when it differs from the newest."""
    newest = conn.exec_driver_sql(_NEWEST_LIMITS, (settings.id,)).first()
    given = settings.limits
    wanted = (settings.chart, settings.n, given.center, given.sigma)
    if newest is None or (newest.chart, newest.n, newest.center, newest.sigma) != wanted:
        version = 1 if newest is None else newest.version + 1
        conn.execute(insert(limit_version).values(
            characteristic=settings.id, version=version, chart=settings.chart, n=settings.n, center=given.center,
            sigma=given.sigma, method=given.method, by=given.by, effective_from=now,
        ))  # fmt: skip
    else:
        version = newest.version
    return Limits(settings.chart, settings.n, given.center, given.sigma, given.method, version)


def load_track(conn: Connection, settings: CharacteristicSettings, name: str, limits: Limits) -> Track:
    """A track as the store has it, its chart replayed; a new one if there is none. New limits clear the runs."""
    row = conn.exec_driver_sql(_STREAM, (settings.id, name)).first()
    if row is None:
        values: dict[str, Any] = {"seq": 0, "open": [], "reset_seq": 0, "episode": None, "clean": 0}
        added = conn.execute(
            insert(stream).values(characteristic=settings.id, name=name, limit_version=limits.version, **values)
        )
        row_id = added.inserted_primary_key[0] if added.inserted_primary_key else 0
    else:
        row_id, values = row.id, {k: getattr(row, k) for k in ("seq", "reset_seq", "episode", "clean")}
        values["open"] = orjson.loads(row.open)
        if row.limit_version != limits.version:
            values |= {"reset_seq": row.seq, "open": []}
    severity = severities({rule: how for rule, how in settings.rules.items() if rule != SPREAD})
    spread = Severity(settings.rules.get(SPREAD, "ticket" if settings.n > 1 else "warning"))
    dispersion_rules = () if spread is Severity.OFF else ("N1",)
    chart = load_chart(settings.chart)(limits, watched(severity), None, dispersion_rules)
    groups = Subgroups(settings.n)
    groups.restore(values.pop("open"))
    specification = Specification(settings.lsl, settings.usl)
    track = Track(row_id, settings, name, chart, severity, spread, specification, groups, limits.version, **values)
    if track.seq > track.reset_seq:
        history = conn.exec_driver_sql(_HISTORY, (row_id, track.reset_seq, chart.memory)).all()
        chart.replay([(r.y, r.dispersion) for r in reversed(history)])
    return track


def gap(track: Track) -> None:
    """A value that should have been there is not: the runs start anew."""
    track.chart.reset()
    track.reset_seq = track.seq
    track.moved = True


def take(track: Track, value: float, at: datetime) -> Charted | None:
    """Take one value; returns the point if it completed one. Raises ValueError for a value that is no number."""
    values = track.groups.push(value)
    if track.settings.n > 1:
        track.moved = True
    return None if values is None else _judge(track, track.chart.push(values), values, at)


def _judge(track: Track, charted: ChartPoint, values: tuple[float, ...], at: datetime) -> Charted:
    track.seq += 1
    check = track.specification.check
    beyond = check(charted.y) if len(values) == 1 else next((side for v in values if (side := check(v))), None)
    if not (charted.flags or charted.dispersion_flags or beyond or track.episode):  # nearly always
        return Charted(track.seq, at, charted.y, charted.dispersion, values, (), (), (), None, None)
    track.moved = True
    found = split(charted.flags, track.severity)
    spread = tuple(f"R-{rule}" for rule in charted.dispersion_flags)
    ticket_rules = (*found.ticket, *(spread if track.spread is Severity.TICKET else ()))
    warning_rules = (*found.warning, *(spread if track.spread is Severity.WARNING else ()))
    if ticket_rules or beyond:
        track.clean = 0
        track.episode = track.episode or at.isoformat()
    elif track.episode is not None:
        track.clean += 1
        if track.clean >= REARM:
            track.episode, track.clean = None, 0
    rules = (*charted.flags, *spread)
    return Charted(
        track.seq, at, charted.y, charted.dispersion, values, rules, ticket_rules,
        warning_rules, beyond,
        datetime.fromisoformat(track.episode) if track.episode and (ticket_rules or beyond) else None,
    )  # fmt: skip


def save(conn: Connection, tracks: Iterable[Track]) -> None:
    """Write where tracks stand, in the transaction of their points; where only `seq` moved, a fold writes it."""
    rows = []
    for t in tracks:
        if t.moved:
            t.moved = False
            rows.append((t.id, t.seq, orjson.dumps(t.groups.open).decode(), t.reset_seq, t.version, t.episode, t.clean))
    write_bulk(conn, _SAVE, rows)


def newest_points(conn: Connection, characteristic: str, limit: int) -> list[Any]:
    """The newest points of a characteristic over its streams, oldest first."""
    ids = select(stream.c.id).where(stream.c.characteristic == characteristic)
    rows = conn.execute(
        select(point).where(point.c.stream.in_(ids)).order_by(point.c.at.desc(), point.c.seq.desc()).limit(limit)
    ).all()
    return list(reversed(rows))


def point_count(conn: Connection) -> int:
    """How many points are kept."""
    return int(conn.execute(select(func.count()).select_from(point)).scalar_one())
