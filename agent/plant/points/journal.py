"""Samples as they came: rows that are only appended, and folded in bulk into `point` and `sample_seen`.

Both of those are sorted by stream. A sample written into them directly would dirty two pages of its own, some 8 KB of
write-ahead log with 1,000 streams. A row appended here is about 100 bytes, and a fold dirties a page once for many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection

from agent.store.bulk import in_bulk, write_bulk

Row = tuple[Any, ...]
"""stream, identity, received_at (µs), seq (None: no point yet), at (µs), y, dispersion, n, values, rules, mark, limit
version."""

FOLD_ROWS = 2000
"""Rows folded in one transaction: some 10 ms, for which others wait."""

_POINT = 'seq, at, y, dispersion, n, "values", rules, mark, limit_version'
_INSERT = f"INSERT INTO journal (stream, identity, received_at, {_POINT}) VALUES {{rows}}"  # noqa: S608
_FOLD = (
    f"INSERT INTO point (stream, {_POINT}) SELECT stream, {_POINT} FROM journal "  # noqa: S608
    "WHERE stream BETWEEN ? AND ? AND seq IS NOT NULL ORDER BY stream, seq",
    "INSERT OR IGNORE INTO sample_seen (stream, identity, at) SELECT stream, identity, received_at FROM journal "
    "WHERE stream BETWEEN ? AND ? AND identity IS NOT NULL ORDER BY stream, identity",
    "UPDATE stream SET seq = newest.seq FROM (SELECT stream, max(seq) AS seq FROM journal "
    "WHERE stream BETWEEN ? AND ? AND seq IS NOT NULL GROUP BY stream) AS newest WHERE id = newest.stream",
    "DELETE FROM journal WHERE stream BETWEEN ? AND ?",
)
_LOOK = (
    "SELECT seen.stream, seen.identity FROM (VALUES {rows}) AS asked CROSS JOIN sample_seen AS seen "
    "ON seen.stream = asked.column1 AND seen.identity = asked.column2"
)


def append(conn: Connection, rows: Sequence[Row]) -> None:
    """Keep samples, in the order of each stream."""
    write_bulk(conn, _INSERT, rows)


def folded(conn: Connection, asked: Sequence[tuple[int, str]]) -> set[tuple[int, str]]:
    """Which of these (stream, identity) are known from samples that were folded."""
    return {(row[0], row[1]) for result in in_bulk(conn, _LOOK, asked) for row in result}


def fold(conn: Connection, first: int, last: int) -> None:
    """Move what is kept of the streams from `first` to `last` to where it stays."""
    for statement in _FOLD:
        conn.exec_driver_sql(statement, (first, last))


def fold_all(conn: Connection) -> None:
    """The same for all streams: before charts are loaded."""
    fold(conn, 0, 2**62)


def waiting(conn: Connection) -> list[tuple[int, int]]:
    """The streams that have rows to fold, with how many, in order."""
    found = conn.exec_driver_sql("SELECT stream, count(*) FROM journal GROUP BY stream ORDER BY stream")
    return [(int(stream), int(rows)) for stream, rows in found]


def slices(streams: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Ranges of streams with about FOLD_ROWS rows each."""
    first: int | None = None
    last = held = 0
    for stream, some in streams:
        first, last, held = stream if first is None else first, stream, held + some
        if held >= FOLD_ROWS:
            yield first, last
            first, held = None, 0
    if first is not None:
        yield first, last
