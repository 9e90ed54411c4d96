"""How the length of a deadline is counted. A basis is one function; working hours and days join this table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta


def wall(start: datetime, amount_s: int) -> datetime:
    """Elapsed time, around the clock, seven days a week: the literal reading of "2 小时内" and "5 天内"."""
    return start + timedelta(seconds=amount_s)


BASES: Mapping[str, Callable[[datetime, int], datetime]] = {"wall": wall}
"""Basis name → (start, seconds) → due time."""
