"""/healthz, /readyz and /metrics of both roles."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse

from agent.metrics import Metrics
from agent.outbox.queue import SETTLED, balance
from agent.records.tickets.model import State
from agent.records.tickets.store import open_by_state
from agent.store.write import Store, StoreFull
from agent.ui.api.answers import answer
from agent.ui.hub import Hub
from agent.ui.parts import EdgeParts

ANSWERS_WITHIN_S = 2.0
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


def health_router(
    store: Store, ready: Callable[[], str | None], figures: Callable[[], Awaitable[str]]
) -> APIRouter:  # fmt: skip
    """`figures` gives the exposition text of /metrics."""
    router = APIRouter(tags=["health"])

    @router.head("/healthz", include_in_schema=False)
    @router.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """The process turns."""
        return "ok\n"

    @router.head("/readyz", include_in_schema=False)
    @router.get("/readyz", responses={503: {"description": "not ready, and why"}})
    async def readyz() -> Response:
        """The store takes a transaction, and everything has been started."""
        reason = ready()
        try:
            async with asyncio.timeout(ANSWERS_WITHIN_S):
                await store.write(lambda conn: None)
        except StoreFull as error:
            reason = str(error)
        except TimeoutError:
            reason = f"the store did not answer within {ANSWERS_WITHIN_S:g} s"
        return answer({"ready": reason is None, "reason": reason}, 200 if reason is None else 503)

    @router.head("/metrics", include_in_schema=False)
    @router.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Counters and gauges, in Prometheus text form."""
        return Response(await figures(), media_type=_TEXT)

    return router


def edge_figures(parts: EdgeParts, hub: Hub) -> Callable[[], Awaitable[str]]:
    """The metrics of an edge: what was counted, and what is known of it at this moment."""

    async def figures() -> str:
        found = Metrics()
        await asyncio.to_thread(outbox_figures, parts.store, found)
        await asyncio.to_thread(_tickets, parts.store, found)
        _present(parts, hub, found)
        return parts.metrics.render() + found.render()

    return figures


def outbox_figures(store: Store, found: Metrics) -> None:
    """Conservation as counters: accepted = settled by outcome + waiting, missing must be 0."""
    with store.read() as conn:
        totals = balance(conn)
    found.declare("andon_outbox_accepted_total", "counter", "messages accepted")
    found.put("andon_outbox_accepted_total", totals["accepted"])
    found.declare("andon_outbox_settled_total", "counter", "messages settled, by outcome")
    for outcome in SETTLED:
        found.put("andon_outbox_settled_total", totals[outcome], outcome=outcome)
    found.declare("andon_outbox_waiting", "gauge", "messages not delivered yet")
    found.put("andon_outbox_waiting", totals["waiting"])
    found.declare("andon_outbox_missing", "gauge", "messages that conservation misses; must be 0")
    found.put("andon_outbox_missing", totals["missing"])


def _tickets(store: Store, found: Metrics) -> None:
    found.declare("andon_tickets", "gauge", "tickets by state")
    with store.read() as conn:
        counts = dict(open_by_state(conn))
    for state in State:
        found.put("andon_tickets", counts.get(state.value, 0), state=state.value)


def _present(parts: EdgeParts, hub: Hub, found: Metrics) -> None:
    now, link = parts.clock.now(), parts.link()
    found.declare("andon_info", "gauge", "what runs here")
    found.put("andon_info", 1, version=parts.version, role="edge")
    found.declare("andon_ready", "gauge", "1 when ready")
    found.put("andon_ready", 1 if parts.ready() is None else 0)
    found.declare("andon_link_up", "gauge", "1 while the relay answers")
    found.put("andon_link_up", 1 if link.up else 0)
    found.declare("andon_sse_readers", "gauge", "open streams of pages")
    found.put("andon_sse_readers", len(hub.readers))
    found.declare("andon_sse_behind_total", "counter", "how often a reader did not keep up and got a snapshot")
    found.put("andon_sse_behind_total", hub.fell_behind)
    found.declare("andon_store_commits_total", "counter", "commits since the start")
    found.put("andon_store_commits_total", parts.store.commits)
    _sources(parts, now, found)


def _sources(parts: EdgeParts, now: datetime, found: Metrics) -> None:
    found.declare("andon_source_age_seconds", "gauge", "time since the last data of a source")
    found.declare("andon_source_stale", "gauge", "1 if a source was silent for too long")
    found.declare("andon_source_received_total", "counter", "values received from a source")
    found.declare("andon_source_errors_total", "counter", "what a source said that could not be read, by kind")
    found.declare("andon_source_reconnects_total", "counter", "how often a source was connected anew")
    for source in parts.sources.values():
        if source.last_data_at is not None:
            age = (now - source.last_data_at).total_seconds()
            found.put("andon_source_age_seconds", round(age, 1), source=source.name)
        found.put("andon_source_stale", 1 if source.stale(now) else 0, source=source.name)
        found.put("andon_source_received_total", source.received, source=source.name)
        found.put("andon_source_reconnects_total", source.reconnects, source=source.name)
        for kind, n in source.errors.items():
            found.put("andon_source_errors_total", n, source=source.name, kind=kind)
