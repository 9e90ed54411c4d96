"""What a folder of CSV files may say in the configuration, and how a row becomes signals. Pure."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from math import isfinite
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from agent.collectors.settings import Part
from agent.errors import BadSignal
from agent.model import Signal

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_LONGEST = 200

Column = Annotated[str | int, Field(description="Its name in the header, or its number from 0")]


class CsvValue(Part):
    """A column of values."""

    column: Column = Field(description="Column of the value: its name in the header, or its number from 0")
    tag: str = Field(
        "", max_length=_LONGEST, description='Name of the signal; "": the column\'s name, or what stands in tag_column'
    )
    text: bool = Field(False, description="true: words, not a number")


class CsvFolderSettings(Part):
    """A folder in which a machine puts CSV files. A file is taken when it is complete, or read on while it grows."""

    type: Literal["csv_folder"] = Field(description="The kind of source")
    path: Path = Field(description="The folder that is watched; folders in it are not")
    glob: str = Field("*.csv", min_length=1, max_length=200, description="Names of the files to take; case counts")
    mode: Literal["whole", "append"] = Field("whole", description="append: the machine adds lines to the file for ever")
    scan_s: float = Field(2.0, ge=0.1, le=3600, description="Time between two looks into the folder")
    settle_s: float = Field(
        3.0, ge=0, le=3600, description="A file whose size and time did not change for so long is complete"
    )
    done_marker: str = Field(
        "", max_length=40, description='Ending of a second file that says that the first is complete; "": none'
    )
    order: Literal["mtime", "name"] = Field("mtime", description="Which file comes first")
    encoding: Literal["utf-8-sig", "utf-8", "gb18030"] = Field(
        "utf-8-sig", description="How text is written; utf-8-sig: UTF-8 with or without a mark at the beginning"
    )
    delimiter: str = Field(",", min_length=1, max_length=1, description="Between two columns")
    decimal: Literal[".", ","] = Field(".", description="Decimal sign of numbers")
    skip_lines: int = Field(0, ge=0, le=1000, description="Lines before the header, or before the first row")
    header: bool = Field(True, description="Whether a line with the names of the columns comes first")
    values: tuple[CsvValue, ...] = Field(min_length=1, description="Which columns hold values")
    tag_column: Column | None = Field(
        None, description="Column that names what was measured, if there is a line for each value"
    )
    time: tuple[Column, ...] = Field((), description="Columns that make up the time, joined by a blank")
    time_format: str = Field("", max_length=100, description='As of strptime, "%Y/%m/%d %H:%M:%S"; "": ISO 8601')
    time_zone: str = Field("UTC", description="Zone of times that state none")
    key: tuple[Column, ...] = Field(
        (), description="Columns by which a repeated row is known; none: name of the file, line and what it says"
    )
    context: dict[str, Column] = Field(
        default_factory=dict, description="What goes along with a value: serial, lot, part_no … and its column"
    )
    blank: tuple[str, ...] = Field(("", "-", "--"), description="What stands in a cell without a value")
    after: Literal["move", "leave", "delete"] = Field("move", description="What becomes of a file that was read")
    done_dir: str = Field(
        "done", min_length=1, description="Where read files go; relative to the folder that is watched"
    )
    failed_dir: str = Field("failed", min_length=1, description="Where files go that cannot be read; relative as above")
    give_up_s: float = Field(
        60.0, ge=0, description="How long a file that is locked is tried before it counts as failed"
    )
    state_dir: Path | None = Field(
        None, description="Folder for the file that remembers what was read; needed by append and leave"
    )
    max_line_bytes: int = Field(65536, ge=64, le=1 << 20, description="A longer line is rejected")
    stale_after_s: float = Field(3600.0, gt=0, le=31_536_000, description="Without data for longer the source is stale")

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("an IANA name such as Asia/Shanghai") from error
        return value

    @field_validator("time_format")
    @classmethod
    def _format(cls, value: str) -> str:
        try:
            datetime.strptime(_FIRST.strftime(value), value)  # noqa: DTZ007  (only tried)
        except (ValueError, re.error) as error:
            raise ValueError("codes of strptime such as %Y/%m/%d %H:%M:%S") from error
        return value

    @field_validator("delimiter")
    @classmethod
    def _one_sign(cls, value: str) -> str:
        if value in '"\r\n\0':
            raise ValueError('a sign between columns such as "," ";" or a tab')
        return value

    @field_validator("glob")
    @classmethod
    def _flat(cls, value: str) -> str:
        if "/" in value:
            raise ValueError("a pattern of file names without /; the folder stands in path")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.state_dir is None and (self.mode == "append" or self.after == "leave"):
            raise ValueError(
                'mode = "append" and after = "leave" need state_dir, or files would be read again for ever'
            )
        if self.mode == "append" and self.after != "leave":
            raise ValueError('mode = "append" needs after = "leave": the machine goes on writing')
        if self.mode == "append" and self.done_marker:
            raise ValueError('done_marker is of no use with mode = "append"')
        if self.delimiter == self.decimal:
            raise ValueError(f"delimiter and decimal are both {self.decimal!r}")
        used = [*self._columns()]
        if not self.header and (named := [c for c in used if isinstance(c, str)]):
            raise ValueError(f"column {named[0]!r}: without a header columns are numbers")
        tags = [v.tag or str(v.column) for v in self.values]
        if self.tag_column is None and len(set(tags)) < len(tags):
            raise ValueError("two values have the same tag")
        return self

    def _columns(self) -> list[str | int]:
        own = [] if self.tag_column is None else [self.tag_column]
        return [*(v.column for v in self.values), *own, *self.time, *self.key, *self.context.values()]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where in a row everything stands."""

    values: tuple[tuple[int, str, bool], ...]
    tag: int | None
    time: tuple[int, ...]
    key: tuple[int, ...]
    context: tuple[tuple[str, int], ...]
    width: int


def cells(s: CsvFolderSettings, line: bytes) -> list[str]:
    """The columns of a line. Raises BadSignal: bad_encoding, not_text, bad_csv."""
    try:
        text = line.decode(s.encoding)
    except UnicodeDecodeError:
        raise BadSignal("bad_encoding", repr(line[:100])) from None
    if "\0" in text:
        raise BadSignal("not_text", repr(line[:100]))
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=s.delimiter))
    except csv.Error as error:
        raise BadSignal("bad_csv", f"{error}: {text[:100]!r}") from None
    if len(rows) > 1:
        raise BadSignal("bad_csv", repr(text[:100]))
    return [cell.strip() for cell in rows[0]] if rows else []


def layout(s: CsvFolderSettings, header: Sequence[str]) -> Layout:
    """Find the columns in the header (none if there is no header). Raises BadSignal("missing_column")."""

    def place(column: str | int) -> int:
        if isinstance(column, int):
            return column
        if column not in header:
            raise BadSignal("missing_column", f"{column!r} is not in the header {list(header)!r}")
        return list(header).index(column)

    def name(column: str | int) -> str:
        return column if isinstance(column, str) else header[column] if column < len(header) else str(column)

    values = tuple((place(v.column), v.tag or name(v.column), v.text) for v in s.values)
    tag = None if s.tag_column is None else place(s.tag_column)
    time, key = tuple(map(place, s.time)), tuple(map(place, s.key))
    context = tuple((word, place(column)) for word, column in s.context.items())
    used = [*(at for at, _, _ in values), *time, *key, *(at for _, at in context), tag or 0]
    return Layout(values, tag, time, key, context, max(used) + 1)


def signals(
    s: CsvFolderSettings, source: str, where: Layout, row: Sequence[str], identity: str, received_at: datetime
) -> list[Signal]:
    """The signals of a row, which is read whole or not at all; `identity` stands for it if no key columns are named.

    Raises BadSignal: short_row, not_a_number, not_finite, bad_time, no_tag, no_key.
    """
    if len(row) < where.width:
        raise BadSignal("short_row", f"{len(row)} of {where.width} columns")
    at = _moment(s, " ".join(row[i] for i in where.time)) if where.time else None
    named = None if where.tag is None else row[where.tag]
    if named is not None and not (named and named.isprintable() and len(named) <= _LONGEST):
        raise BadSignal("no_tag", repr(named[:100]))
    event = _key([row[i] for i in where.key]) if where.key else identity
    context = {word: row[i][:_LONGEST] for word, i in where.context if row[i] not in s.blank}
    found = []
    for place, tag, is_text in where.values:
        cell = row[place]
        if cell in s.blank:
            continue
        value = None if is_text else _number(cell, s.decimal)
        words = cell[:1000] if is_text else None
        found.append(
            Signal(source, _tag(named, tag, s), value, received_at, at, id=event, text=words, context=context or None)
        )
    return found


def _tag(named: str | None, tag: str, s: CsvFolderSettings) -> str:
    """In the long form the row names what was measured; with several value columns the column's tag follows."""
    if named is None:
        return tag
    return named if len(s.values) == 1 else f"{named}.{tag}"


def identity_of(name: str, number: int, line: bytes) -> str:
    """What a row without key columns is known by: its file, its line and what it says.

    The last because machines use names again: other rows under an old name are new ones.
    """
    digest = sha256(line.rstrip(b"\r\n")).hexdigest()[:16]
    return f"{name[:140]}:{number}:{digest}"


def _key(parts: Sequence[str]) -> str:
    if not any(parts):
        raise BadSignal("no_key")
    event = "|".join(part.replace("\\", "\\\\").replace("|", "\\|") for part in parts)
    return event if len(event) <= _LONGEST and event.isprintable() else sha256(event.encode()).hexdigest()


def _number(cell: str, decimal: str) -> float:
    if decimal == ",":
        if "." in cell:
            raise BadSignal("not_a_number", repr(cell[:50]))
        cell = cell.replace(",", ".")
    if len(cell) > 64 or not _NUMBER.fullmatch(cell):
        said = re.fullmatch(r"[+-]?(nan|inf|infinity)", cell[:64], re.IGNORECASE)
        raise BadSignal("not_finite" if said else "not_a_number", repr(cell[:50]))
    value = float(cell)
    if not isfinite(value):
        raise BadSignal("not_finite", repr(cell[:50]))
    return value


def _moment(s: CsvFolderSettings, text: str) -> datetime:
    try:
        fmt = s.time_format
        at = datetime.strptime(text, fmt) if fmt else datetime.fromisoformat(text)  # noqa: DTZ007  (the zone follows)
        at = (at if at.tzinfo else at.replace(tzinfo=ZoneInfo(s.time_zone))).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadSignal("bad_time", repr(text[:50])) from None
    if not _FIRST <= at < _LAST:
        raise BadSignal("bad_time", repr(text[:50]))
    return at
