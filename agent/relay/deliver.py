"""From the relay's outbox to the sinks: claim lane heads, deliver, settle; one transaction for "done" and its far ids.

Backoff per message, and a circuit over all: after three failures in a row that no success broke, one message at a time
probes the far side; the first success makes everything that waited for it due at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, update

from agent.clock import Clock
from agent.errors import AgentError, Rejected, Unreachable
from agent.metrics import Metrics
from agent.outbox.inbox import remember_far
from agent.outbox.queue import claim, release, settle
from agent.outbox.rows import outbox
from agent.outbox.sink import Delivered, Message, Names, Reissue, Sink
from agent.relay.settings import RelaySettings
from agent.store.write import Store, StoreFull

log = logging.getLogger(__name__)
_CAP_S = 60.0
_DOWN = "unreachable: "


class Deliver:
    """The delivering task. `sinks` maps a message kind to its sink."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        sinks: Mapping[str, Sink],
        names: Names,
        settings: RelaySettings,
        metrics: Metrics,
    ) -> None:
        self._store, self._clock, self._sinks, self._names = store, clock, sinks, names
        self._settings, self._metrics = settings, metrics
        self._wake = asyncio.Event()
        self._flight: set[int] = set()
        self._failures = 0
        self._probe_at = 0.0
        self.last_success_at: datetime | None = None
        self.progress_at = 0.0

    def wake(self) -> None:
        """Something may be due (call on the loop)."""
        self._wake.set()

    @property
    def down(self) -> bool:
        """True while the far side is taken for unreachable."""
        return self._failures >= 3

    async def run(self) -> None:
        """Deliver until cancelled; what is under way then is repeated with its stored key after the restart."""
        pool = ThreadPoolExecutor(self._settings.workers, thread_name_prefix="sink")
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    self._wake.clear()
                    self.progress_at = self._clock.monotonic()
                    for row in await self._claim():
                        self._flight.add(row.id)
                        group.create_task(self._one(pool, row), name=f"deliver-{row.id}")
                    await self._pause()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.5):
                await self._wake.wait()

    async def _claim(self) -> list[Row[Any]]:
        room = self._settings.workers - len(self._flight)
        if self.down:
            if self._flight or self._clock.monotonic() < self._probe_at:
                return []
            room = 1
        if room <= 0:
            return []
        try:
            rows = await self._store.write(lambda conn: claim(conn, self._clock.now(), "relay", room))
        except StoreFull as error:
            log.error("nothing can be delivered: %s", error)
            return []
        return [row for row in rows if row.id not in self._flight]

    async def _one(self, pool: ThreadPoolExecutor, row: Row[Any]) -> None:
        message = Message(
            row.uuid, row.lane, row.kind, row.payload, row.key, row.created_at,
            row.first_tried_at if row.attempts > 1 else None, row.attempts,
        )  # fmt: skip
        loop = asyncio.get_running_loop()
        outcome: Delivered | Reissue | Exception
        try:
            outcome = await loop.run_in_executor(pool, self._sinks[row.kind].deliver, message, self._names)
        except Exception as error:  # noqa: BLE001  (settled below: a sink's bug must not stop the other lanes)
            outcome = error
        try:
            self._note(row, outcome)
            await self._store.write(lambda conn: self._settle(conn, row, outcome))
        except StoreFull as error:
            log.error("cannot settle %s: %s; its lease runs out and it is repeated with its key", row.kind, error)
        finally:
            self._flight.discard(row.id)
            self._wake.set()

    def _note(self, row: Row[Any], outcome: Delivered | Reissue | Exception) -> None:
        kind = {Delivered: "delivered", Reissue: "reissued", Rejected: "rejected"}.get(type(outcome), "failed")
        self._metrics.inc("andon_sink_attempts_total", kind=row.kind, outcome=kind)
        if isinstance(outcome, Unreachable) and outcome.retry_after is None:
            self._failures += 1
            self._probe_at = self._clock.monotonic() + min(5.0, 0.25 * 2 ** min(self._failures - 1, 6))
            if self._failures == 3:
                log.warning("Feishu cannot be reached: %s", outcome)
        elif isinstance(outcome, (Delivered, Reissue)):
            if self.down:
                log.info("Feishu can be reached again")
            self._failures = 0
            self.last_success_at = self._clock.now()
        elif not isinstance(outcome, AgentError):
            log.error("sink failed on %s", row.kind, exc_info=outcome)

    def _settle(self, conn: Connection, row: Row[Any], outcome: Delivered | Reissue | Exception) -> None:
        now = self._clock.now()
        if isinstance(outcome, Delivered):
            for logical, far_id in outcome.far.items():
                remember_far(conn, now, logical, far_id)
            settle(conn, now, row.id, "delivered", outcome.note, outcome.far)
            self._release_all(conn, now)
        elif isinstance(outcome, Reissue):
            release(conn, row.id, now, "looked up, not found: sent anew", fresh_key=True)
        elif isinstance(outcome, Rejected):
            settle(conn, now, row.id, "dead", outcome.reason)
        elif now - row.created_at > timedelta(days=self._settings.keep_days):
            settle(conn, now, row.id, "expired", str(outcome))
        else:
            prefix = _DOWN if isinstance(outcome, Unreachable) and outcome.retry_after is None else ""
            release(conn, row.id, now + self._backoff(row.attempts, outcome), f"{prefix}{outcome}")

    @staticmethod
    def _backoff(attempts: int, outcome: Exception) -> timedelta:
        asked = getattr(outcome, "retry_after", None)
        seconds = asked if asked is not None else min(_CAP_S, 0.5 * 2.0 ** min(attempts - 1, 8))
        return timedelta(seconds=seconds * random.uniform(1.0, 1.3))  # noqa: S311  (jitter, not a secret)

    def _release_all(self, conn: Connection, now: datetime) -> None:
        """The far side answers again: whatever only waited for that is due now."""
        conn.execute(
            update(outbox)
            .where(outbox.c.state == "waiting", outbox.c.not_before_at > now, outbox.c.reason.startswith(_DOWN))
            .values(not_before_at=now, reason="")
        )
