"""The relay, put together: link, delivery, long connection, clicks. The only role that imports lark-oapi."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import Future
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, select

from agent import __version__
from agent.app.role import Role
from agent.clock import Clock
from agent.config import Config
from agent.errors import ConfigError
from agent.metrics import Metrics
from agent.model import Click
from agent.outbox.queue import purge, take_void
from agent.plant.directory import person_row, take_people
from agent.plant.rows import person
from agent.records.tickets.service import take_fact
from agent.records.tickets.store import edge_of, told_by
from agent.relay.acquaintance import Acquaintance
from agent.relay.clicks import Clicks
from agent.relay.deliver import Deliver
from agent.relay.ingress import Ingress, link_app
from agent.relay.names import StoreNames, adopt
from agent.relay.replies import Edges, purge_accepted, purge_commands, purge_replies
from agent.sinks.feishu.callbacks.supervisor import Callbacks
from agent.sinks.feishu.sink import FeishuSink
from agent.ui.admin import build_relay_admin
from agent.ui.desk import build_desk
from agent.ui.server import Server
from agent.watch.housekeeping import feed_watchdog, housekeeping

log = logging.getLogger(__name__)


class Relay(Role):
    """One per plant: takes what edges send, speaks to Feishu, brings answers back."""

    name = "relay"

    def __init__(self, config: Config, clock: Clock) -> None:
        super().__init__(config, clock, config.relay.data_dir)
        if config.feishu is None:
            raise ConfigError("feishu", None, "the relay needs this table; see config/agent.example.toml")
        settings, store = config.relay, self.store
        self.metrics.declare("andon_sink_attempts_total", "counter", "attempts to deliver, by kind and outcome")
        self.metrics.declare("andon_feishu_events_total", "counter", "events that Feishu pushed, by kind")
        self.edges = Edges()
        self.names = StoreNames(store, clock, person_row, self.blobs.path)
        self.sink = FeishuSink(config.feishu, clock, config.site.zone, last=(config.tickets.default_owner,))
        self.deliver = Deliver(
            store, clock, dict.fromkeys(self.sink.kinds, self.sink), self.names, settings, self.metrics
        )
        in_time = min(settings.verdict_wait_s, 0.8 * config.feishu.click_wait_s)  # "received" is said before "unsure"
        waits = settings.model_copy(update={"verdict_wait_s": in_time})
        self.acquaintance = Acquaintance(
            lambda: store.write(_people_ids), lambda people: self.sink.learn(people, self.names)
        )
        self.clicks = Clicks(store, clock, self.edges, waits, edge_of, self._who, self.acquaintance.settled)
        self.feishu = Callbacks(
            config.feishu, clock, config.site.zone, on_click=self.clicks.on_click, on_event=self._on_event,
            card=lambda neutral: self.sink.card(neutral, self.names), person=self._person,
        )  # fmt: skip
        handlers = {
            "fact": take_fact, "people": take_people, "adopt": adopt, "void": take_void,
            "verdict": self.clicks.take_verdict,
        }  # fmt: skip
        self.ingress = Ingress(handlers, self.sink.kinds, settings)
        self.link = link_app(store, clock, self.ingress, self.edges, self.blobs, told_by, self._office)
        self.desk = build_desk(store, self.metrics, self.ready, self._present)
        self.admin = build_relay_admin(store, clock)
        self.on_topic("outbox", lambda topics: self.deliver.wake())
        self.on_topic("reply:", self.edges.wake)
        self.on_topic("verdict:", self.clicks.wake)
        self.on_topic("people", self.acquaintance.wake)

    async def start(self) -> None:
        self.clicks.bind(asyncio.get_running_loop())
        self.edges.bind(asyncio.get_running_loop())

    def tasks(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        relay, keep = self.config.relay, timedelta(days=self.config.relay.keep_days)
        purges = [
            ("outbox", keep, purge), ("accepted", keep, purge_accepted), ("clicks", keep, purge_commands),
            ("replies", timedelta(days=7), purge_replies),
        ]  # fmt: skip
        return {
            "link": partial(Server(self.link).serve, uds=self.config.link.socket),
            "deliver": self.deliver.run,
            "feishu": self._long_connection,
            "people": self.acquaintance.run,
            "desk": partial(Server(self.desk).serve, host=relay.host, port=relay.port),
            "admin": partial(Server(self.admin).serve, uds=relay.admin_socket),
            "housekeeping": partial(housekeeping, self.store, self.clock, purges),
            "watchdog": partial(feed_watchdog, self.store, self._delivers),
        }

    async def _long_connection(self) -> None:
        """Feishu's long connection lives on threads of its own and supervises itself."""
        self.feishu.start()
        try:
            await asyncio.Event().wait()
        finally:
            self.sink.close()
            await asyncio.to_thread(self.feishu.stop)

    def _office(self) -> bool:
        """Feishu can be reached: it hears us, takes what we say, and we hear it."""
        return self.feishu.health().state == "open" and not self.deliver.down and not self.sink.trouble

    def _delivers(self) -> bool:
        """The delivering task has turned within the last minute."""
        return self.clock.monotonic() - self.deliver.progress_at < 60

    def _who(self, click: Click) -> str | None:
        """Whose click it is: by what the directory says, else by what was learnt from Feishu."""
        known = self._person(click.open_id)
        if known is None and click.user_id is not None:
            with self.store.read() as conn:
                known = conn.execute(select(person.c.id).where(person.c.user_id == click.user_id)).scalars().first()
        return known

    def _person(self, open_id: str) -> str | None:
        """Employee number of an open_id."""
        with self.store.read() as conn:
            known: str | None = conn.execute(select(person.c.id).where(person.c.open_id == open_id)).scalars().first()
        logical = self.names.logical(open_id, "person:") if known is None else None
        return known if logical is None else logical.removeprefix("person:")

    def _on_event(self, kind: str, data: Mapping[str, Any], event_id: str) -> Future[None]:
        """Other events are counted; the closed loop will act on them."""
        self.metrics.inc("andon_feishu_events_total", kind=kind)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _present(self, found: Metrics) -> None:
        """The gauges of this moment."""
        found.declare("andon_info", "gauge", "what runs here")
        found.put("andon_info", 1, version=__version__, role=self.name)
        found.declare("andon_feishu_connected", "gauge", "1 while Feishu's long connection is open")
        found.put("andon_feishu_connected", 1 if self.feishu.health().state == "open" else 0)
        found.declare("andon_feishu_reachable", "gauge", "0 while messages cannot be delivered")
        found.put("andon_feishu_reachable", 0 if self.deliver.down else 1)
        found.declare(
            "andon_feishu_refused", "gauge", "1 while Feishu refuses the whole app: quota, credentials, bot off"
        )
        found.put("andon_feishu_refused", 1 if self.sink.trouble else 0)
        found.declare("andon_edge_silent_seconds", "gauge", "time since an edge was last heard")
        for edge in self.edges.known():
            found.put("andon_edge_silent_seconds", round(self.edges.silent_s(edge), 1), edge=edge)


def _people_ids(conn: Connection) -> list[str]:
    return list(conn.execute(select(person.c.id).where(person.c.active).order_by(person.c.id)).scalars())
