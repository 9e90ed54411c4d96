"""What the pages of an edge are made of: everything they show and change, handed in by app."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.blobs import Blobs
from agent.clock import Clock
from agent.metrics import Metrics
from agent.model import SourceHealth
from agent.outbox.courier import LinkState
from agent.pipeline import Pipeline
from agent.plant.settings import CharacteristicSettings, SiteSettings
from agent.records.tickets.service import Tickets
from agent.records.tickets.settings import CategorySettings
from agent.store.write import Store
from agent.ui.settings import EdgeSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeParts:
    """The parts of an edge that its HTTP side binds to."""

    site: SiteSettings
    edge: EdgeSettings
    characteristics: Sequence[CharacteristicSettings]
    categories: Sequence[CategorySettings]
    clock: Clock
    store: Store
    metrics: Metrics
    tickets: Tickets
    pipeline: Pipeline
    blobs: Blobs
    sources: Mapping[str, SourceHealth]
    link: Callable[[], LinkState]
    version: str
    static_dir: Path | None
    """The built page, None if nobody built it."""
    ready: Callable[[], str | None]
    """None when ready, else the reason why not."""

    def knows_station(self, station: str) -> bool:
        """True if the site has this station."""
        return any(place.id == station for place in self.site.stations)
