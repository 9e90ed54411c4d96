"""Keeps one long connection alive: a thread for it with its own loop, a thread that watches and replaces it.

Watched from outside, since lark's client dies in silence: no frame for `silent_s` (pings are answered every `ping_s`),
a connect that takes too long, an end for whatever reason. Time is counted in the watcher's own waits, so neither a
stepped wall clock nor a demo's fast-forward kills a connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo

from agent.clock import Clock
from agent.sinks.feishu.callbacks.connection import Connection, Ended
from agent.sinks.feishu.callbacks.handler import DrawCard, Handler, OnClick, OnEvent
from agent.sinks.feishu.settings import FeishuSettings

log = logging.getLogger(__name__)
_TICK_S = 0.5
_FIRST_S, _CAP_S = 1.0, 10.0
_OPENED_CAP_S = 5.0
"""The longest pause after a connection that was open: Feishu closes some of them, and clicks get lost meanwhile."""
_THREADS = 32


@dataclass(frozen=True, slots=True)
class Health:
    """`state`: stopped, connecting, open, waiting (for the next try). `reason`: of the last loss."""

    state: str = "stopped"
    since: datetime | None = None
    last_frame_at: datetime | None = None
    losses: int = 0
    reason: str = ""


class Callbacks:
    """The app's ear. `person`: open_id → employee number; `card`: neutral card → card JSON (FeishuSink.card).

    All callables are called on threads of this object, up to 32 at once. Raises ConfigError if there is no app secret.
    """

    def __init__(
        self,
        settings: FeishuSettings,
        clock: Clock,
        tz: tzinfo,
        *,
        on_click: OnClick,
        on_event: OnEvent,
        card: DrawCard,
        person: Callable[[str], str | None],
    ) -> None:
        self._settings, self._secret, self._clock = settings, settings.secret(), clock
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="feishu-push")
        self._handler = Handler(settings, clock, tz, self._pool, on_click, on_event, card, person)
        self._stop = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="feishu-keeper", daemon=True)
        self._health = Health()

    def start(self) -> None:
        """Connect, and stay connected, in the background."""
        self._keeper.start()

    def stop(self) -> None:
        """Close the connection and return within 2 s. Pushes under way are left to their callers."""
        self._stop.set()
        if self._keeper.is_alive():
            self._keeper.join(2.0)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def health(self) -> Health:
        """How the connection is, now."""
        return self._health

    def _keep(self) -> None:
        pause = _FIRST_S
        while not self._stop.is_set():
            self._now("connecting")
            link = _Link(self._settings, self._secret, self._handler, self._heard)
            ticks = self._watch(link)
            link.end()
            if self._stop.is_set():
                break
            self._lost(link.reason)
            if ticks * _TICK_S > _CAP_S:
                pause = _FIRST_S
            self._stop.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, not a secret)
            pause = min(_OPENED_CAP_S if link.frames else _CAP_S, pause * 2)
        self._now("stopped")

    def _watch(self, link: _Link) -> int:
        """Return when the link is dead or the process stops; the number of ticks it lived."""
        frames, quiet_s, ticks = 0, 0.0, 0
        connect_s = 2 * self._settings.timeout_s + 5
        while not self._stop.wait(_TICK_S) and link.alive():
            ticks += 1
            quiet_s = quiet_s + _TICK_S if link.frames == frames else 0.0
            frames = link.frames
            if quiet_s >= (self._settings.silent_s if frames else connect_s):
                link.reason = f"silent for {quiet_s:.0f} s"
                break
        return ticks

    def _heard(self) -> None:
        """A frame came (called on the link's thread)."""
        if self._health.state != "open":
            log.info("long connection to Feishu is open")
            self._now("open")
        self._health = replace(self._health, last_frame_at=self._clock.now())

    def _now(self, state: str) -> None:
        self._health = replace(self._health, state=state, since=self._clock.now())

    def _lost(self, reason: str) -> None:
        if reason != self._health.reason or self._health.state == "open":
            log.warning("long connection to Feishu lost: %s", reason)
        self._health = replace(self._health, losses=self._health.losses + 1, reason=reason)
        self._now("waiting")


class _Link:
    """One connection on a daemon thread of its own; left behind if it does not end when told."""

    def __init__(self, settings: FeishuSettings, secret: str, handler: Handler, heard: Callable[[], None]) -> None:
        self.frames, self.reason = 0, "ended"
        self._settings, self._secret, self._handler, self._on_frame = settings, secret, handler, heard
        self._cancel: Callable[[], object] | None = None
        self._over = False
        self._thread = threading.Thread(target=self._run, name="feishu-ws", daemon=True)
        self._thread.start()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def end(self) -> None:
        """Cancel what it does and wait a second at most."""
        self._over = True
        if self._cancel is not None:
            with contextlib.suppress(RuntimeError):  # its loop is closed already
                self._cancel()
        self._thread.join(1.0)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Ended as error:
            self.reason = str(error)
        except asyncio.CancelledError:
            log.debug("long connection cancelled")

    async def _serve(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        await Connection(self._settings, self._secret, self._handler.answer, self._heard).serve()

    def _heard(self) -> None:
        if not self._over:
            self.frames += 1
            self._on_frame()
