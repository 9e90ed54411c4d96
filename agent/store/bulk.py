"""Many rows in few statements. The driver gives the GIL away at each step of a statement, so with `executemany` the
store thread would queue for it behind the other threads once a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection

_SIZES = (128, 16, 1)
"""Rows in a statement: few different texts, so that the driver keeps them prepared."""


@lru_cache(maxsize=64)
def _statement(template: str, width: int, rows: int) -> str:
    row = f"({', '.join('?' * width)})"
    return template.replace("{rows}", ", ".join([row] * rows))


def in_bulk(conn: Connection, template: str, rows: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """Run a statement whose `{rows}` stands for the rows of a VALUES; yields a result for each part of them.

    SQLite takes 32,766 parameters: a row may have 255 columns.
    """
    at = 0
    for size in _SIZES:
        while len(rows) - at >= size:
            part = rows[at : at + size]
            flat = tuple([value for row in part for value in row])
            yield conn.exec_driver_sql(_statement(template, len(part[0]), size), flat)
            at += size


def write_bulk(conn: Connection, template: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """`in_bulk` for a statement without results."""
    for _ in in_bulk(conn, template, rows):
        pass
