"""The responsibility matrix: who owns a problem at a place, and who else belongs into its group.

A row names what it is about; an empty field stands for "any". The most specific row wins: characteristic before
station before line, category after the place. Rows live in the store; this is the rule that reads them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Duty:
    """One row: at this place and for this kind of problem, `owner` acts and `team` is brought in."""

    owner: str
    team: tuple[str, ...] = ()
    line: str | None = None
    station: str | None = None
    characteristic: str | None = None
    category: str | None = None

    @property
    def weight(self) -> int:
        """How specific the row is."""
        places = ((self.characteristic, 8), (self.station, 4), (self.line, 2), (self.category, 1))
        return sum(weight for value, weight in places if value is not None)

    def covers(self, line: str | None, station: str | None, characteristic: str | None, category: str | None) -> bool:
        """True if every field the row names is the one asked for."""
        asked = (
            (self.line, line),
            (self.station, station),
            (self.characteristic, characteristic),
            (self.category, category),
        )
        return all(mine is None or mine == theirs for mine, theirs in asked)


def responsible(
    duties: Iterable[Duty],
    *,
    line: str | None = None,
    station: str | None = None,
    characteristic: str | None = None,
    category: str | None = None,
) -> Duty | None:
    """The row that applies, None if nobody is named. Of equally specific rows the first one stands."""
    return max(
        (d for d in duties if d.covers(line, station, characteristic, category)), key=lambda d: d.weight, default=None
    )
