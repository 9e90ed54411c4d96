"""The only place that reads the time. Everything else is given a `Clock`.

`now()` is the wall clock in UTC, `monotonic()` seconds that never run back. Deadlines use the first, waits the second.
"""

from __future__ import annotations

import mmap
import struct
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """What the rest of the agent knows about time."""

    def now(self) -> datetime:
        """The wall clock, time-zone aware, UTC."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary start; unaffected by changes of the wall clock."""


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands still until told to move; for tests and rehearsals."""

    def __init__(self, start: datetime, monotonic: float = 0.0) -> None:
        self._now = start.astimezone(UTC)
        self._mono = monotonic

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._mono

    def advance(self, by: timedelta | float) -> None:
        """Move wall and monotonic time together. Raises ValueError for a negative step."""
        step = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if step < timedelta(0):
            raise ValueError(f"advance by {step}: time only goes forward; use step_wall to set the wall clock back")
        self._now += step
        self._mono += step.total_seconds()

    def step_wall(self, by: timedelta) -> None:
        """Step the wall clock alone, as NTP or an admin would."""
        self._now += by


class SharedClock:
    """The machine's clock plus an offset that several processes share through an 8-byte file (demo only: 快进).

    Wall and monotonic time move together, in every process that maps the same file.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(struct.pack("<d", 0.0))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), 8)

    @property
    def offset(self) -> float:
        """Seconds that this clock is ahead of the machine's."""
        return float(struct.unpack_from("<d", self._map)[0])

    def forward(self, seconds: float) -> None:
        """Move every process that shares the file ahead. Raises ValueError for a negative step."""
        if seconds < 0:
            raise ValueError(f"seconds = {seconds}: the demo clock only goes forward")
        struct.pack_into("<d", self._map, 0, self.offset + seconds)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.offset)

    def monotonic(self) -> float:
        return time.monotonic() + self.offset
