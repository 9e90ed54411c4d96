"""The one door to the store: a thread that writes, in groups of one commit, and connections that read.

A job is a plain function of a Connection. Jobs that wait together share one transaction, each under its own savepoint:
one fsync for all, and a job that fails takes only itself back. A job's result is handed out after the commit.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError

from agent.errors import AgentError
from agent.store.engine import open_reader, open_writer

T = TypeVar("T")
_GROUP = 64
_BOUND = 4096


class StoreFull(AgentError):
    """The store cannot take more now; nothing was kept: do not acknowledge, the source delivers again."""


def announce(conn: Connection, topic: str) -> None:
    """Say inside a transaction what changed; listeners hear it once, after the commit."""
    conn.info.setdefault("topics", set()).add(topic)


class Store:
    """A store file of this process. `open` starts the writer thread, `close` ends it after the last waiting job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._jobs: queue.Queue[tuple[Callable[[Connection], Any], Future[Any]] | None] = queue.Queue(_BOUND)
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self._writer: Engine | None = None
        self._reader: Engine | None = None
        self._thread: threading.Thread | None = None
        self.commits = 0

    def open(self) -> None:
        """Open the file and start the writer thread. Raises ConfigError (see engine)."""
        self._writer = open_writer(self.path)
        self._writer.connect().close()
        self._reader = open_reader(self.path)
        self._thread = threading.Thread(target=self._run, name="store", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish what waits, then close. Idempotent."""
        if self._thread is not None:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None
        for engine in (self._writer, self._reader):
            if engine is not None:
                engine.dispose()

    def on_commit(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Call `listener(topics)` on the store thread after each commit that announced something."""
        self._listeners.append(listener)

    def submit(self, job: Callable[[Connection], T]) -> Future[T]:
        """Run `job(connection)` in a transaction; from any thread. Raises StoreFull when too many jobs wait."""
        future: Future[T] = Future()
        try:
            self._jobs.put_nowait((job, future))
        except queue.Full:
            raise StoreFull(f"{_BOUND} transactions are waiting") from None
        return future

    async def write(self, job: Callable[[Connection], T]) -> T:
        """`submit` for the loop. The job runs to its end even if the waiting task is cancelled."""
        return await asyncio.shield(asyncio.wrap_future(self.submit(job)))

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A read-only connection with one snapshot; for page threads and commands."""
        assert self._reader is not None, "open the store first"
        with self._reader.connect() as conn, conn.begin():
            yield conn

    def _run(self) -> None:
        assert self._writer is not None
        with self._writer.connect() as conn:
            while True:
                item = self._jobs.get()
                group = []
                while item is not None:
                    group.append(item)
                    if len(group) >= _GROUP or self._jobs.empty():
                        break
                    item = self._jobs.get_nowait()
                if group:
                    self._commit(conn, group)
                if item is None:
                    return

    def _commit(self, conn: Connection, group: list[tuple[Callable[[Connection], Any], Future[Any]]]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        conn.info.pop("topics", None)
        try:
            with conn.begin():
                for job, future in group:
                    try:
                        with conn.begin_nested():
                            result = job(conn)
                    except Exception as error:  # noqa: BLE001  (handed to whoever waits for this job)
                        future.set_exception(_translated(error))
                    else:
                        done.append((future, result))
        except Exception as error:  # noqa: BLE001  (BEGIN or COMMIT failed: nothing of this group was kept)
            for _, future in group:
                if not future.done():
                    future.set_exception(_translated(error))
            return
        self.commits += 1
        topics = frozenset(conn.info.pop("topics", ()))
        for future, result in done:
            future.set_result(result)
        if topics:
            for listener in self._listeners:
                listener(topics)


def _translated(error: Exception) -> Exception:
    text = str(getattr(error, "orig", error))
    if isinstance(error, DBAPIError) and ("full" in text or "readonly" in text or "disk I/O" in text):
        return StoreFull(f"the disk does not take it: {text}")
    return error
