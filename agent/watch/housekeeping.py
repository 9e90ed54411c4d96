"""What keeps a store small and a process honest: old rows go in slices, the watchdog is fed from work done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from agent.clock import Clock
from agent.lifecycle import notify, watchdog_period_s
from agent.store.write import Store, StoreFull

log = logging.getLogger(__name__)
_EVERY = timedelta(hours=1)
_SLICE = 1000

Purge = tuple[str, timedelta, Callable[[Connection, datetime, int], int]]
"""What it is called, how long it is kept, and the job that deletes at most n rows older than a time."""


async def housekeeping(store: Store, clock: Clock, purges: Sequence[Purge]) -> None:
    """Delete what is past its age, slice by slice so that nothing else waits, then once an hour again."""
    while True:
        for name, age, purge in purges:
            before = clock.now() - age
            total = 0
            while True:
                done = await store.write(lambda conn, p=purge, b=before: p(conn, b, _SLICE))  # type: ignore[misc]
                total += done
                if done < _SLICE:
                    break
                await asyncio.sleep(0.05)
            if total:
                log.info("%s: %d old rows deleted", name, total)
        await store.write(lambda conn: conn.exec_driver_sql("PRAGMA incremental_vacuum(1000)").close())
        await asyncio.sleep(_EVERY.total_seconds())


async def feed_watchdog(store: Store, healthy: Callable[[], bool] = lambda: True) -> None:
    """Tell systemd that work gets done: only after the store has answered, and only if `healthy` says so."""
    period = watchdog_period_s()
    while True:
        try:
            async with asyncio.timeout(20):
                await store.write(lambda conn: None)
        except (StoreFull, TimeoutError) as error:
            log.error("the store does not answer: %s", error)
        else:
            if healthy():
                notify("WATCHDOG=1")
        await asyncio.sleep(period or 10.0)
