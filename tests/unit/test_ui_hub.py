"""Readers and their queues, without sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from agent.ui import hub as module
from agent.ui.hub import QUEUE, EventStream, Hub, Reader, frame


def events(chunk: bytes) -> list[tuple[str, Any]]:
    """The events in a piece of the stream."""
    found = []
    for block in chunk.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        found.append((name.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


async def started(hub: Hub, station: str | None = None, credential: str = "c") -> tuple[Reader, AsyncIterator[bytes]]:
    """A reader that has had its snapshot."""
    reader = Reader(hub, {"id": "D"}, credential, station)
    hub.join(reader)
    chunks = reader.chunks()
    asking = asyncio.ensure_future(anext(chunks))
    await asyncio.sleep(0)
    hub.start_over(station, {"n": 0})
    assert events(await asking) == [("snapshot", {"device": {"id": "D"}, "n": 0})]
    return reader, chunks


def test_a_stream_is_a_snapshot_and_what_follows() -> None:
    """Nothing before the snapshot; then everything in order, several at once if they came together."""

    async def play() -> None:
        hub = Hub()
        reader = Reader(hub, {"id": "D"}, "c", None)
        hub.join(reader)
        hub.publish("beat", {})
        hub.flush()
        asking = asyncio.ensure_future(anext(reader.chunks()))
        await asyncio.sleep(0)
        assert not asking.done()
        assert reader.wants_snapshot
        hub.start_over(None, {"n": 1})
        hub.publish("tile", {"n": 2})
        hub.flush()
        hub.publish("tile", {"n": 3})
        hub.flush()
        expected = [("snapshot", {"device": {"id": "D"}, "n": 1}), ("tile", {"n": 2}), ("tile", {"n": 3})]
        assert events(await asking) == expected
        assert not reader.wants_snapshot

    asyncio.run(play())


def test_who_does_not_keep_up_gets_a_snapshot_when_it_reads_again() -> None:
    async def play() -> None:
        hub = Hub()
        reader, chunks = await started(hub)
        for n in range(QUEUE + 5):
            hub.publish("tile", {"n": n})
            hub.flush()
        assert hub.fell_behind == 1
        assert not reader.wants_snapshot  # it does not read: nothing is made for it
        hub.start_over(None, {"n": "early"})
        asking = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
        assert not asking.done()
        assert reader.wants_snapshot
        hub.start_over(None, {"n": "late"})
        assert events(await asking) == [("snapshot", {"device": {"id": "D"}, "n": "late"})]

    asyncio.run(play())


def test_each_event_is_encoded_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(module, "frame", lambda event, data: made.append(event) or frame(event, data))

    async def play() -> None:
        hub = Hub()
        readers = [await started(hub) for _ in range(5)]
        made.clear()
        hub.publish("tile", {"n": 1})
        hub.flush()
        got = [await anext(chunks) for _, chunks in readers]
        assert made == ["tile"]
        assert all(events(data) == [("tile", {"n": 1})] for data in got)

    asyncio.run(play())


def test_a_turn_with_many_events_is_one_piece() -> None:
    """A hundred tiles that change in the same moment are no reason to lose a reader."""

    async def play() -> None:
        hub = Hub()
        _, chunks = await started(hub)
        for n in range(100):
            hub.publish("tile", {"n": n})
        hub.flush()
        assert hub.fell_behind == 0
        assert [data["n"] for _, data in events(await anext(chunks))] == list(range(100))

    asyncio.run(play())


def test_a_station_hears_its_own_and_what_concerns_all() -> None:
    async def play() -> None:
        hub = Hub()
        (_, own), (_, other), (_, line) = [await started(hub, station) for station in ("OP40", "OP50", None)]
        hub.publish("tile", {"n": 1}, "OP40")
        hub.publish("beat", {"n": 2})
        hub.flush()
        one, two = ("tile", {"n": 1}), ("beat", {"n": 2})
        assert events(await anext(own)) == events(await anext(line)) == [one, two]
        assert events(await anext(other)) == [two]

    asyncio.run(play())


def test_a_snapshot_goes_to_its_view_alone() -> None:
    async def play() -> None:
        hub = Hub()
        readers = [Reader(hub, {"id": str(i)}, "c", station) for i, station in enumerate(("OP40", None))]
        chunks = [reader.chunks() for reader in readers]
        asking = []
        for reader, chunk in zip(readers, chunks, strict=True):
            hub.join(reader)
            asking.append(asyncio.ensure_future(anext(chunk)))
        await asyncio.sleep(0)
        hub.start_over("OP40", {"n": 1})
        assert events(await asking[0]) == [("snapshot", {"device": {"id": "0"}, "n": 1})]
        assert not asking[1].done()
        assert readers[1].wants_snapshot
        asking[1].cancel()

    asyncio.run(play())


def test_closing_ends_all_streams_after_what_was_queued() -> None:
    async def play() -> None:
        hub = Hub()
        _, chunks = await started(hub)
        hub.publish("beat", {})
        hub.flush()
        hub.close()
        assert [events(chunk) async for chunk in chunks] == [[("beat", {})]]
        late = Reader(hub, {"id": "L"}, "c", None)
        hub.join(late)
        assert [chunk async for chunk in late.chunks()] == []

    asyncio.run(play())


def test_waiting_ends_when_somebody_asks_for_a_snapshot() -> None:
    async def play() -> None:
        hub = Hub()
        waiting = asyncio.ensure_future(hub.wait(3600))
        await asyncio.sleep(0)
        reader = Reader(hub, {}, "c", None)
        hub.join(reader)
        asking = asyncio.ensure_future(anext(reader.chunks()))
        await waiting
        assert reader.wants_snapshot
        await hub.wait(0)  # once is enough
        asking.cancel()

    asyncio.run(play())


def test_a_stream_leaves_the_hub_however_it_ends() -> None:
    async def play() -> None:
        hub = Hub()

        async def gone(message: Any) -> None:
            raise OSError("the tablet is gone")

        stream = EventStream(hub, Reader(hub, {}, "c", None))
        assert not hub.readers
        with pytest.raises(OSError, match="gone"):
            await stream.stream_response(gone)
        assert not hub.readers

        async def kept(message: Any) -> None:
            return None

        running = asyncio.ensure_future(EventStream(hub, Reader(hub, {}, "c", None)).stream_response(kept))
        await asyncio.sleep(0)
        assert len(hub.readers) == 1
        running.cancel()
        await asyncio.wait({running})
        assert not hub.readers

    asyncio.run(play())
