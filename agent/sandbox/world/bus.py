"""Changes for those who watch (the page). A reader that falls behind gets one mark instead of a growing queue."""

from __future__ import annotations

import asyncio
from typing import Any

PENDING_MAX = 1000


class Watcher:
    """What has changed since the last `take`: each thing once, in the order it first changed."""

    def __init__(self) -> None:
        self._pending: dict[tuple[str, str], Any] = {}
        self._wake = asyncio.Event()
        self.behind = False
        self.over = False
        """The server ends: nothing more comes."""

    def put(self, kind: str, key: str, thing: Any) -> None:
        if len(self._pending) >= PENDING_MAX:
            self._pending.clear()
            self.behind = True
        self._pending[kind, key] = thing
        self._wake.set()

    def take(self) -> list[tuple[str, Any]]:
        """All (kind, thing) since last time."""
        taken = [(kind, thing) for (kind, _), thing in self._pending.items()]
        self._pending.clear()
        self._wake.clear()
        return taken

    def end(self) -> None:
        self.over = True
        self._wake.set()

    async def wait(self, timeout_s: float) -> bool:
        """True when something changed within the time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True


class Bus:
    """Hands every change to every watcher. Belongs to the server's loop."""

    def __init__(self) -> None:
        self._watchers: list[Watcher] = []
        self.version = 0
        self._closed = False

    def publish(self, kind: str, key: str, thing: Any = None) -> None:
        self.version += 1
        for watcher in self._watchers:
            watcher.put(kind, key, thing)

    def watch(self) -> Watcher:
        watcher = Watcher()
        self._watchers.append(watcher)
        if self._closed:
            watcher.end()
        return watcher

    def leave(self, watcher: Watcher) -> None:
        self._watchers.remove(watcher)

    def close(self) -> None:
        """Tell all who watch, now or later, that it is over: an open stream would hold the server up."""
        self._closed = True
        for watcher in self._watchers:
            watcher.end()
