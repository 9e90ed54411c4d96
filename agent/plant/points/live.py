"""What is known of a characteristic at this moment: what tiles show. Changed on the loop only, after the commit."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from agent.model import Quality
from agent.plant.settings import CharacteristicSettings

SHOWN = 25


@dataclass(slots=True)
class LivePoint:
    """A charted point: the plotted statistic and how it is marked."""

    at: datetime
    y: float
    mark: str | None
    rules: tuple[str, ...]


@dataclass(slots=True)
class Live:
    """The present state of one characteristic."""

    settings: CharacteristicSettings
    center: float
    lcl: float
    ucl: float
    stale_after_s: float | None
    """None: typed in by hand, never stale."""
    value: float | None = None
    at: datetime | None = None
    received_at: datetime | None = None
    quality: Quality = Quality.STALE
    points: deque[LivePoint] = field(default_factory=lambda: deque(maxlen=SHOWN))
    open: list[float] = field(default_factory=list)
    violation: Mapping[str, Any] | None = None

    def quality_at(self, now: datetime) -> Quality:
        """The quality by age: good data grow stale when nothing new comes."""
        if self.received_at is None:
            return Quality.STALE
        old = self.stale_after_s is not None and (now - self.received_at).total_seconds() > self.stale_after_s
        return Quality.STALE if old and self.quality is not Quality.BAD else self.quality
