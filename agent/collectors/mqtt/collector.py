"""MQTT 3.1.1 and 5: persistent session, acknowledged only after the store has the message.

The network thread (link.py) reads; this side hands what came to the pipeline, one batch after the other, and
releases a batch when `emit` returned. While one commit runs the next batch gathers: that is the group commit.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from agent.clock import Clock
from agent.collectors.mqtt.intake import Batch
from agent.collectors.mqtt.link import Link
from agent.collectors.mqtt.reader import Reader, Topics
from agent.collectors.mqtt.settings import BrokerSettings, MqttSettings
from agent.collectors.settings import read_secret
from agent.errors import AgentError
from agent.model import Emit, Quality, Signal, SourceHealth

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0


class BrokerCollector:
    """One broker. At least once: what `emit` did not take is not acknowledged, and the broker delivers it again."""

    def __init__(
        self,
        name: str,
        settings: BrokerSettings,
        clock: Clock,
        health: SourceHealth,
        reader: Callable[[], Reader],
    ) -> None:
        self._name, self._settings, self._clock, self._health = name, settings, clock, health
        self._reader = reader
        self._was_up = False

    async def run(self, emit: Emit) -> None:
        """Collect until cancelled. Raises ConfigError for an unreadable password file, and whatever `emit` raises
        beyond AgentError."""
        s = self._settings
        password = None if s.password_file is None else read_secret("password_file", s.password_file)
        loop = asyncio.get_running_loop()
        batches: asyncio.Queue[Batch] = asyncio.Queue()  # bounded by the link: at most 2 × max_inflight messages
        link = Link(
            s,
            password,
            self._clock,
            self._reader(),
            lambda batch: loop.call_soon_threadsafe(batches.put_nowait, batch),
            lambda event, detail: loop.call_soon_threadsafe(self._note, event, detail),
        )
        self._health.state = "connecting"
        pool = ThreadPoolExecutor(1, thread_name_prefix=f"mqtt-{self._name}")
        network = loop.run_in_executor(pool, link.run)
        pump = asyncio.create_task(self._pump(batches, link, emit), name=f"mqtt-{self._name}")
        try:
            done, _ = await asyncio.wait({network, pump}, return_when=asyncio.FIRST_COMPLETED)
            for ended in done:
                ended.result()
        finally:
            self._health.state = "down"
            pump.cancel()
            link.stop()
            over, _ = await asyncio.wait({network, pump}, timeout=s.connect_timeout_s + 2)
            for ended in over:
                _ = ended.cancelled() or ended.exception()  # looked at, so that asyncio does not complain of it
            pool.shutdown(wait=False)

    async def _pump(self, batches: asyncio.Queue[Batch], link: Link, emit: Emit) -> None:
        while True:
            ready = [await batches.get()]
            while not batches.empty():
                ready.append(batches.get_nowait())
            signals = self._account(ready)
            if signals:
                await self._keep(emit, signals)
            for batch in ready:
                link.release(batch)

    def _account(self, batches: Sequence[Batch]) -> list[Signal]:
        """Count what came, good and bad; the good ones, in order of arrival."""
        signals = [signal for batch in batches for signal in batch.signals]
        for batch in batches:
            for bad in batch.bad:
                self._health.bad(bad.kind, bad.sample)
        if signals:
            self._health.received += len(signals)
        fresh = next((s for s in reversed(signals) if s.quality is not Quality.STALE), None)
        if fresh is not None:  # that others are dead is no sign of life
            self._health.last_data_at = fresh.received_at
        return signals

    async def _keep(self, emit: Emit, signals: Sequence[Signal]) -> None:
        """Try until the signals are durable. Anything but an AgentError is a bug and ends the collector; then the
        broker delivers them again."""
        pause = _FIRST_PAUSE_S
        while True:
            try:
                return await emit(signals)
            except AgentError as error:
                self._health.bad("not_stored", str(error))
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, not a secret)
            pause = min(_LONGEST_PAUSE_S, pause * 2)

    def _note(self, event: str, detail: str) -> None:
        """What the link reports, on the loop: the health record belongs to the loop's thread."""
        health = self._health
        if event == "dropped":
            health.errors["dropped"] = health.errors.get("dropped", 0) + int(detail)
            return
        if event == "up":
            health.state = "up"
            health.reconnects += self._was_up
            self._was_up = True
            log.info("mqtt %s: up", self._name)
            return
        health.bad(event, detail)
        if event == "subscribe_refused" or health.state != "down":
            log.warning("mqtt %s: %s: %s", self._name, event, detail)
        if event != "subscribe_refused":
            health.state = "down"


class MqttCollector(BrokerCollector):
    """Reads topics by the rules of the configuration file."""

    def __init__(self, name: str, settings: MqttSettings, clock: Clock, health: SourceHealth) -> None:
        super().__init__(name, settings, clock, health, lambda: Topics(name, settings))
