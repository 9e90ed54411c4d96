"""Server-sent events for many readers: each event is encoded once, each reader has a short queue of its own.

Events are published, then flushed together: what one turn has to tell is one piece, the same bytes for all readers of a
view. A reader that does not keep up loses its queue and gets a fresh snapshot as soon as it reads again: after a gap
the picture is right, and a stalled tablet costs neither memory nor work.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Mapping
from typing import Any

import orjson
from fastapi.responses import StreamingResponse
from starlette.types import Send

QUEUE = 8
"""Pieces a reader may be behind."""


def frame(event: str, data: bytes) -> bytes:
    """One event on the wire (WHATWG HTML, 9.2.6); `data` is JSON without line breaks."""
    return b"event: %s\ndata: %s\n\n" % (event.encode(), data)


class Reader:
    """One open stream: a device, the station it looks at (None: the whole line), and what it has yet to be sent."""

    def __init__(self, hub: Hub, device: Mapping[str, str], credential: str, station: str | None) -> None:
        self.device, self.credential, self.station = device, credential, station
        self._hub = hub
        self._pieces: deque[bytes] = deque()
        self._something = asyncio.Event()
        self._behind = True
        self._idle = False
        self._ended = False

    @property
    def wants_snapshot(self) -> bool:
        """It has nothing left to send, and what it showed is no longer whole."""
        return self._behind and self._idle and not self._ended

    def put(self, piece: bytes) -> None:
        """Queue a piece; if it cannot take it, it gets a snapshot later."""
        if self._behind or self._ended:
            return
        if len(self._pieces) >= QUEUE:
            self._hub.fell_behind += 1
            self.fall_behind()
            return
        self._pieces.append(piece)
        self._something.set()

    def start_over(self, snapshot: bytes) -> None:
        """Everything anew: the snapshot, and from now on what follows it."""
        self._pieces.clear()
        self._pieces.append(snapshot)
        self._behind = self._idle = False
        self._something.set()

    def fall_behind(self) -> None:
        """What it shows is no longer whole: a snapshot comes next."""
        self._pieces.clear()
        self._behind = True

    def end(self) -> None:
        """Let the stream end after what was queued."""
        self._ended = True
        self._something.set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """What is to be sent, as it comes."""
        while True:
            while not self._pieces and not self._ended:
                self._idle = True
                if self._behind:
                    self._hub.wake()
                self._something.clear()
                await self._something.wait()
            self._idle = False
            if not self._pieces:
                return
            chunk = b"".join(self._pieces)
            self._pieces.clear()
            yield chunk


class Hub:
    """All readers. Lives on the loop."""

    def __init__(self) -> None:
        self.readers: set[Reader] = set()
        self.fell_behind = 0
        """How often a reader did not keep up, in all."""
        self._published: list[tuple[str | None, bytes]] = []
        self._awake = asyncio.Event()
        self._closed = False

    def join(self, reader: Reader) -> None:
        """A stream begins."""
        self.readers.add(reader)
        if self._closed:
            reader.end()

    def leave(self, reader: Reader) -> None:
        """A stream is over."""
        self.readers.discard(reader)

    def wake(self) -> None:
        """There is something to do."""
        self._awake.set()

    async def wait(self, timeout_s: float) -> None:
        """Until somebody calls `wake`, at most `timeout_s`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._awake.wait()
        self._awake.clear()

    def publish(self, event: str, data: Any, station: str | None = None) -> None:
        """Tell all readers at the next flush; with `station` only those that look at it or at the whole line."""
        if any(station is None or reader.station in (None, station) for reader in self.readers):
            self._published.append((station, frame(event, orjson.dumps(data))))

    def flush(self) -> None:
        """Queue what was published."""
        published, self._published = self._published, []
        pieces: dict[str | None, bytes] = {}
        for reader in self.readers if published else ():
            view = reader.station
            if view not in pieces:
                pieces[view] = b"".join(data for place, data in published if None in (view, place) or place == view)
            if pieces[view]:
                reader.put(pieces[view])

    def start_over(self, station: str | None, snapshot: Mapping[str, Any]) -> None:
        """Send a snapshot to every reader of this view that waits for one; only "device" is each one's own."""
        waiting = [r for r in self.readers if r.wants_snapshot and r.station == station]
        if waiting:
            shared = orjson.dumps(snapshot)
            for reader in waiting:
                own = b'{"device":' + orjson.dumps(reader.device) + b"," + shared[1:]
                reader.start_over(frame("snapshot", own))

    def close(self) -> None:
        """End all streams, now and from now on."""
        self._closed = True
        for reader in self.readers:
            reader.end()


class EventStream(StreamingResponse):
    """The response that a reader reads."""

    def __init__(self, hub: Hub, reader: Reader) -> None:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(reader.chunks(), media_type="text/event-stream", headers=headers)
        self._hub, self._reader = hub, reader

    async def stream_response(self, send: Send) -> None:
        """Until the reader goes away or the hub ends it."""
        self._hub.join(self._reader)
        try:
            await super().stream_response(send)
        finally:
            self._hub.leave(self._reader)
