"""What keeps a store small and a process honest: old rows go in slices, the watchdog is fed from work done."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from agent.clock import Clock
from agent.errors import AgentError
from agent.lifecycle import notify, watchdog_period_s
from agent.store.write import Store, StoreFull

log = logging.getLogger(__name__)
_EVERY = timedelta(hours=1)
_SLICE = 1000
_MISSES = 3

Purge = tuple[str, timedelta, Callable[[Connection, datetime, int], int]]
"""What it is called, how long it is kept, and the job that deletes at most n rows older than a time."""


async def housekeeping(store: Store, clock: Clock, purges: Sequence[Purge]) -> None:
    """Delete what is past its age, slice by slice so that nothing else waits, then once an hour again."""
    while True:
        try:
            for purge in purges:
                await _delete(store, clock, purge)
            await store.write(lambda conn: conn.exec_driver_sql("PRAGMA incremental_vacuum(1000)").close())
        except StoreFull as error:
            log.error("old rows stay for now: %s", error)
        await asyncio.sleep(_EVERY.total_seconds())


async def _delete(store: Store, clock: Clock, purge: Purge) -> None:
    name, age, job = purge
    before, total, done = clock.now() - age, 0, _SLICE
    while done == _SLICE:
        done = await store.write(lambda conn: job(conn, before, _SLICE))
        total += done
        await asyncio.sleep(0.05)
    if total:
        log.info("%s: %d old rows deleted", name, total)


async def feed_watchdog(store: Store, healthy: Callable[[], bool] = lambda: True) -> None:
    """Tell systemd that work gets done: only after the store has answered, and only if `healthy` says so.

    Ends with Unresponsive, and so ends the process, when the store has not answered for a minute.
    """
    period, missed = watchdog_period_s() or 10.0, 0
    while True:
        try:
            async with asyncio.timeout(20):
                await store.write(lambda conn: None)
        except TimeoutError:
            missed += 1
            log.error("the store does not answer")
            if missed == _MISSES:
                raise Unresponsive from None
        except StoreFull as error:
            if store.ended:
                raise Unresponsive from error
            log.error("the store takes nothing: %s", error)
        else:
            missed = 0
            if healthy():
                notify("WATCHDOG=1")
        await asyncio.sleep(period)


class Unresponsive(AgentError):
    """The store thread does not answer; the process is started again."""
