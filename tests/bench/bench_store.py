"""Durable messages a second through the store's door, beside raw SQLite and a bare fsync on the same disk.

    python tests/bench/bench_store.py

The door: `Store.write` of one `enqueue` each (uuid looked up, row, counter), answered after its commit. The floors:
the same row by sqlite3 alone, one a commit and 64 a commit, WAL and synchronous=FULL as in the store. No assertion.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from agent.outbox.queue import Item, enqueue
from agent.store.engine import PRAGMAS, driver
from agent.store.schema import upgrade
from agent.store.write import Store

ROWS, SINGLE, GROUP = 6400, 1000, 64
PAYLOAD = {"card": "card:SZ1-E1-261122-007", "ticket": "SZ1-E1-261122-007", "card_body": {"blocks": ["x" * 60] * 30}}
NOW = datetime(2026, 11, 22, tzinfo=UTC)
INSERT = (
    "INSERT INTO outbox (uuid, edge, lane, rank, cls, kind, schema, payload, key, state, head, created_at, "
    "not_before_at, attempts, reason) VALUES (?, '', ?, 1, 'card', 'update_card', 1, ?, ?, 'waiting', 1, 0, 0, 0, '')"
)


def percentiles(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    return f"p50 {median(ordered) * 1e3:6.2f} ms  p99 {ordered[int(len(ordered) * 0.99)] * 1e3:6.2f} ms"


async def through_the_door(folder: Path, producers: int, rows: int) -> tuple[float, list[float]]:
    """Rows a second with so many tasks that each wait for their commit, and how long each row took."""
    path = folder / f"door{producers}.db"
    upgrade(path)
    store = Store(path)
    store.open()
    took: list[float] = []

    async def produce(mine: int) -> None:
        for i in range(mine):
            item = Item(f"lane{i % 50}", "update_card", "card", PAYLOAD)
            start = perf_counter()
            await store.write(lambda conn, item=item: enqueue(conn, NOW, item))
            took.append(perf_counter() - start)

    start = perf_counter()
    await asyncio.gather(*(produce(rows // producers) for _ in range(producers)))
    rate = len(took) / (perf_counter() - start)
    await asyncio.to_thread(store.close)
    return rate, took


def raw(folder: Path, group: int, rows: int) -> tuple[float, list[float]]:
    """The same row by the driver alone, `group` of them a commit."""
    import orjson

    path = folder / f"raw{group}.db"
    upgrade(path)
    conn = driver().connect(str(path), isolation_level=None)
    for name, value in PRAGMAS.items():
        conn.execute(f"PRAGMA {name}={value}")
    took = []
    for start_row in range(0, rows, group):
        start = perf_counter()
        conn.execute("BEGIN IMMEDIATE")
        for i in range(start_row, start_row + group):
            values = (uuid.uuid4().hex, f"lane{i % 50}", orjson.dumps(PAYLOAD).decode(), uuid.uuid4().hex)
            conn.execute(INSERT, values)
        conn.execute("COMMIT")
        took.append(perf_counter() - start)
    conn.close()
    return rows / sum(took), took


def fsyncs(folder: Path, times: int) -> list[float]:
    """How long one append of 4 KiB and its fsync takes."""
    took = []
    with (folder / "plain").open("ab", buffering=0) as file:
        for _ in range(times):
            start = perf_counter()
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
            took.append(perf_counter() - start)
    return took


def line(what: str, rate: float, took: list[float], floor: float | None = None, of: str = "") -> None:
    ratio = "" if floor is None else f"  {rate / floor:5.2f} x {of}"
    print(f"{what:<44} {rate:8,.0f} rows/s  {percentiles(took)}{ratio}")


def main() -> None:
    work: Callable[..., Any] = through_the_door
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name:
        folder = Path(name)
        plain = fsyncs(folder, SINGLE)
        print(f"{driver().__name__}, SQLite {driver().sqlite_version}; fsync of 4 KiB: {percentiles(plain)}\n")
        alone, took = raw(folder, 1, SINGLE)
        line("floor: sqlite3, one row a commit", alone, took)
        line("Store.write, 1 producer", *(found := asyncio.run(work(folder, 1, SINGLE))), alone, "floor")
        print(f"{'  one row over one fsync':<44} {median(found[1]) / median(plain):8.1f} x\n")
        grouped, took = raw(folder, GROUP, ROWS)
        line(f"floor: sqlite3, {GROUP} rows a commit (times: commit)", grouped, took)
        line(f"Store.write, {GROUP} producers", *(found := asyncio.run(work(folder, GROUP, ROWS))), grouped, "floor")
        print(f"{'  over one row a commit':<44} {found[0] / alone:8.1f} x")


if __name__ == "__main__":
    main()
