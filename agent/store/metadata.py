"""One MetaData for all tables of both roles, the column types they share, and the tables the store itself owns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import BigInteger, Column, Dialect, Integer, MetaData, Table, Text, TypeDecorator
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s"}
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def to_us(at: datetime) -> int:
    """Microseconds since 1970 UTC: sorts, has no zone to get wrong, and is the same in SQLite and PostgreSQL.

    Raises OverflowError for what `from_us` could not read again: 0001-01-01T00:00+14:00 is in no year in UTC. A store
    that holds one such row would end the process at every start.
    """
    us = (at - _EPOCH) // _MICROSECOND
    if not _FIRST <= us <= _LAST:
        raise OverflowError(f"{at.isoformat()} is in no year from 1 to 9999 in UTC")
    return us


def from_us(us: int) -> datetime:
    """The aware UTC datetime of a stored moment."""
    return _EPOCH + us * _MICROSECOND


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970 UTC. Refuses naive ones."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else to_us(value)

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        return None if value is None else from_us(value)


class Json(TypeDecorator[Any]):
    """A JSON value as text (no NaN, no Infinity: orjson writes them as null)."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else orjson.dumps(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else orjson.loads(value)


Serial = BigInteger().with_variant(Integer, "sqlite")
"""A row id that SQLite can autoincrement and PostgreSQL gives 64 bits."""

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
    comment="facts about this store: role, epoch, cursors",
)

counter = Table(
    "counter",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
    comment="persisted totals; conservation is checked against them at every start",
)

audit = Table(
    "audit",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("at", Moment, nullable=False),
    Column("actor", Json, nullable=False),
    Column("action", Text, nullable=False),
    Column("data", Json, nullable=False),
    Column("prev", Text, nullable=False),
    Column("hash", Text, nullable=False),
    comment="append-only; each row's hash covers the one before",
)
