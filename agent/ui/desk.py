"""What the relay serves over HTTP: health and metrics now, the desk pages later."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fastapi import FastAPI

from agent.metrics import Metrics
from agent.store.write import Store
from agent.ui.health import health_router, outbox_figures


def build_desk(
    store: Store, metrics: Metrics, ready: Callable[[], str | None], present: Callable[[Metrics], None]
) -> FastAPI:
    """The relay's HTTP application. `present` puts what is known at this moment into the metrics it is given."""

    async def figures() -> str:
        found = Metrics()
        await asyncio.to_thread(outbox_figures, store, found)
        present(found)
        return metrics.render() + found.render()

    app = FastAPI(title="Andon Gateway relay", openapi_url="/api/openapi.json", docs_url=None, redoc_url=None)
    app.include_router(health_router(store, ready, figures))
    return app
