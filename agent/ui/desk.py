"""The relay's HTTP side: health and metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from zoneinfo import ZoneInfo

from fastapi import FastAPI

from agent.metrics import Metrics
from agent.store.write import Store
from agent.ui.api.answers import install
from agent.ui.gate import Gate
from agent.ui.health import health_router, outbox_figures

UTC_ZONE = ZoneInfo("UTC")


def build_desk(
    store: Store, metrics: Metrics, ready: Callable[[], str | None], gauges: Callable[[], None]
) -> FastAPI:  # fmt: skip
    """The application; `gauges` puts what is known at this moment into `metrics`."""

    async def figures() -> str:
        found = Metrics()
        await asyncio.to_thread(outbox_figures, store, found)
        gauges()
        return metrics.render() + found.render()

    app = FastAPI(title="Andon Gateway relay", openapi_url=None, docs_url=None, redoc_url=None)
    app.include_router(health_router(store, ready, figures))
    install(app, UTC_ZONE)
    app.add_middleware(Gate, zone=UTC_ZONE)
    return app
