"""The edge, put together: collectors, SPC, tickets, kiosk page, courier."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from agent import __version__
from agent.app.role import Role
from agent.clock import Clock
from agent.collectors import COLLECTORS
from agent.config import Config, load
from agent.lifecycle import supervise
from agent.model import SourceHealth
from agent.outbox.courier import Courier
from agent.outbox.inbox import Apply, purge_inbox, take_receipt
from agent.outbox.queue import Item, enqueue, purge
from agent.pipeline import Pipeline
from agent.plant.ages import purge_points, purge_requests, purge_seen
from agent.plant.directory import as_payloads, directory, read_departments, read_people, replace_people
from agent.plant.settings import CharacteristicSettings
from agent.records.tickets.remote import take_command
from agent.records.tickets.service import Tickets
from agent.records.tickets.setup import occur_of, setup_of
from agent.store.write import StoreFull
from agent.ui.admin import build_admin
from agent.ui.parts import EdgeParts
from agent.ui.server import Server, build_app
from agent.watch.housekeeping import feed_watchdog, housekeeping

log = logging.getLogger(__name__)


class Edge(Role):
    """Beside the line: collectors, SPC, tickets, kiosk page, courier."""

    name = "edge"

    def __init__(self, config: Config, clock: Clock, static: Path | None) -> None:
        super().__init__(config, clock, config.edge.data_dir)
        site = config.site
        self.metrics.declare("andon_signals_unmapped_total", "counter", "signals no characteristic reads, by source")
        self.metrics.declare("andon_signals_unplottable_total", "counter", "numbers too large to chart, by source")
        self.metrics.declare("andon_violations_total", "counter", "violations that asked for a ticket")
        self.metrics.declare("andon_pipeline_failures_total", "counter", "signals set aside because of a bug")
        self.tickets = Tickets(site, setup_of(site, config.tickets, config.deadlines, config.characteristics))
        self.sources = {
            name: SourceHealth(name, settings.type, settings.stale_after_s) for name, settings in config.sources.items()
        }
        self.pipeline = Pipeline(
            self.store, clock, site.edge, config.characteristics, self._stale_after,
            occur_of(site, self.tickets), self.metrics,
        )  # fmt: skip
        handlers: dict[str, Apply] = {"receipt": take_receipt, "command": partial(take_command, self.tickets)}
        self.courier = Courier(
            self.store, clock, config.link, site.edge, handlers, self.blobs.path, self._resync, self.tickets.take_back
        )
        parts = EdgeParts(
            site=site, edge=config.edge, characteristics=config.characteristics,
            categories=config.tickets.categories, clock=clock, store=self.store, metrics=self.metrics,
            tickets=self.tickets, pipeline=self.pipeline, blobs=self.blobs, sources=self.sources,
            link=lambda: self.courier.state, version=__version__, static_dir=static, ready=self.ready,
        )  # fmt: skip
        self.pages, self.admin = build_app(parts), build_admin(parts)
        self._refreshing: set[asyncio.Future[None]] = set()
        self.on_topic("outbox", lambda topics: self.courier.wake())
        self.on_topic("latch", self._latches)

    async def start(self) -> None:
        await self.store.write(self._people)
        await self.pipeline.load()

    def tasks(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        edge, keep = self.config.edge, timedelta(days=self.config.link.keep_days)
        purges = [
            ("points", timedelta(days=edge.points_days), purge_points), ("sample ids", keep, purge_seen),
            ("requests", keep, purge_requests), ("outbox", keep, purge), ("inbox", keep, purge_inbox),
        ]  # fmt: skip
        jobs: dict[str, Callable[[], Awaitable[None]]] = {
            "courier": self.courier.run,
            "sweeper": self._sweep,
            "folding": self.pipeline.keep_folding,
            "pages": partial(Server(self.pages).serve, host=edge.host, port=edge.port, setting="edge"),
            "admin": partial(Server(self.admin).serve, uds=edge.admin_socket, setting="edge.admin_socket"),
            "housekeeping": partial(housekeeping, self.store, self.clock, purges),
            "watchdog": partial(feed_watchdog, self.store),
        }
        for name, settings in self.config.sources.items():
            jobs[f"source-{name}"] = partial(self._collect, name, settings)
        return jobs

    async def _collect(self, name: str, settings: Any) -> None:
        """One source under supervision: whatever happens to it stays its own."""
        health = self.sources[name]
        collector = load(COLLECTORS[settings.type])(name, settings, self.clock, health)

        def failed(reason: str) -> None:
            health.state = "failed"
            health.reconnects += 1

        await supervise(f"source {name}", lambda: collector.run(self.pipeline.emit), on_failure=failed)

    async def _sweep(self) -> None:
        """Do what time asks of tickets. After contact is found again, the replies come first (ADR 3)."""
        every = self.config.tickets.sweep_s
        waited = 0.0
        while True:
            await asyncio.sleep(every)
            state = self.courier.state
            if not state.drained and (state.up or (state.since is None and waited < 3)):
                waited += every
                continue
            try:
                await self.store.write(lambda conn: self.tickets.sweep(conn, self.clock.now()))
            except StoreFull as error:
                log.error("deadlines wait: %s", error)

    def _latches(self, topics: frozenset[str]) -> None:
        task = asyncio.ensure_future(self.pipeline.refresh_latches())
        self._refreshing.add(task)
        task.add_done_callback(self._refreshed)

    def _refreshed(self, task: asyncio.Future[None]) -> None:
        self._refreshing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("tiles keep their lamps until the next change: %s", error)

    def _people(self, conn: Connection) -> None:
        settings = self.config.directory
        if settings.people_file is None:
            return
        people = read_people(settings.people_file)
        departments = read_departments(settings.departments_file) if settings.departments_file else []
        if replace_people(conn, people, departments):
            self._tell_people(conn)

    def _tell_people(self, conn: Connection) -> None:
        for slice_ in as_payloads(directory(conn)):
            enqueue(conn, self.clock.now(), Item("people", "people", "verdict", slice_))

    def _resync(self, conn: Connection, now: datetime, place: int) -> int | None:
        if place == 0:
            self._tell_people(conn)
        return self.tickets.resync(conn, now, place)

    def _stale_after(self, c: CharacteristicSettings) -> float | None:
        """None for what is typed in: it is never stale."""
        if c.entry != "signal" or c.source is None:
            return None
        after: float = self.config.sources[c.source].stale_after(c.tag)
        return after
