"""The one door to the store: a thread that writes, in groups of one commit, and connections that read.

A job is a plain function of a Connection. Jobs that wait together share one transaction, each under its own savepoint:
one fsync for all, and a job that fails takes only itself back. A job's result is handed out after the commit.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from agent.errors import AgentError
from agent.store.engine import open_reader, open_writer

T = TypeVar("T")
log = logging.getLogger(__name__)
_GROUP = 64
_BOUND = 4096


class StoreFull(AgentError):
    """The store cannot take more now; nothing was kept: do not acknowledge, the source delivers again."""


def announce(conn: Connection, topic: str) -> None:
    """Say inside a transaction what changed; listeners hear it once, after the commit."""
    conn.info.setdefault("topics", set()).add(topic)


@dataclass(slots=True)
class _Waiting:
    """A job, who waits for it, and who must know on the store thread if it is undone."""

    job: Callable[[Connection], Any]
    future: Future[Any]
    undone: Callable[[], None] | None
    result: Any = None

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            if self.undone is not None:
                self.undone()
            self.future.set_exception(_translated(error))


class Store:
    """A store file of this process. `open` starts the writer thread, `close` ends it after the last waiting job."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._jobs: queue.Queue[_Waiting | None] = queue.Queue(_BOUND)
        self._listeners: list[Callable[[frozenset[str]], None]] = []
        self._writer: Engine | None = None
        self._reader: Engine | None = None
        self._thread: threading.Thread | None = None
        self._ended = False
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
            if not self._ended:
                self._jobs.put(None)
            self._thread.join()
            self._thread = None
        for engine in (self._reader, self._writer):  # the writer last: it checkpoints, so a stopped store is one file
            if engine is not None:
                engine.dispose()

    @property
    def ended(self) -> bool:
        """True once the writer thread is gone: nothing can be written any more."""
        return self._ended

    def on_commit(self, listener: Callable[[frozenset[str]], None]) -> None:
        """Call `listener(topics)` on the store thread after each commit that announced something."""
        self._listeners.append(listener)

    def submit(self, job: Callable[[Connection], T], undone: Callable[[], None] | None = None) -> Future[T]:
        """Run `job(connection)` in a transaction; from any thread. Raises StoreFull when too many jobs wait.

        `undone` is called on the store thread, before any later job, if the transaction was not kept: for memory that
        a job changes.
        """
        waiting = _Waiting(job, Future(), undone)
        if self._ended:
            raise StoreFull("the store thread has ended; the process must be started again")
        try:
            self._jobs.put_nowait(waiting)
        except queue.Full:
            raise StoreFull(f"{_BOUND} transactions are waiting") from None
        return waiting.future

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
        try:
            with self._writer.connect() as conn:
                while group := self._group():
                    self._commit(conn, [w for w in group if w is not None])
                    if group[-1] is None or self._ended:
                        return
        finally:
            self._ended = True
            while not self._jobs.empty():
                if (left := self._jobs.get_nowait()) is not None:
                    left.fail(StoreFull("the store thread has ended"))

    def _group(self) -> list[_Waiting | None]:
        """Wait for a job; with it take those that wait already. None, the last, means: end after this group."""
        group = [self._jobs.get()]
        while group[-1] is not None and len(group) < _GROUP and not self._jobs.empty():
            group.append(self._jobs.get_nowait())
        return group

    def _commit(self, conn: Connection, group: list[_Waiting]) -> None:
        """One transaction for the group. If it does not commit, nobody of the group was served."""
        if not group:
            return
        done: list[_Waiting] = []
        conn.info.pop("topics", None)
        try:
            with conn.begin():
                for waiting in group:
                    if _in_savepoint(conn, waiting):
                        done.append(waiting)
                _check_open(conn)
        except BaseException as error:
            for waiting in group:
                waiting.fail(error)
            if not isinstance(error, Exception):
                log.critical("the store thread ends", exc_info=error)
                self._ended = True
            return
        self.commits += 1
        topics = frozenset(conn.info.pop("topics", ()))
        for waiting in done:
            waiting.future.set_result(waiting.result)
        if topics:
            self._tell(topics)

    def _tell(self, topics: frozenset[str]) -> None:
        for listener in self._listeners:
            try:
                listener(topics)
            except Exception:
                log.exception("a listener of the store failed")


def _in_savepoint(conn: Connection, waiting: _Waiting) -> bool:
    """Run one job under its own savepoint; False if it failed and took only itself back.

    Raises StoreFull if SQLite took back the whole transaction: it does on a full disk or an I/O error, and what ran
    before in this group is gone with it.
    """
    savepoint = conn.begin_nested()
    try:
        waiting.result = waiting.job(conn)
        savepoint.commit()
    except Exception as error:  # noqa: BLE001  (handed to whoever waits for this job)
        _check_open(conn, error)
        savepoint.rollback()
        waiting.fail(error)
        return False
    return True


def _check_open(conn: Connection, cause: Exception | None = None) -> None:
    if not getattr(conn.connection.dbapi_connection, "in_transaction", True):
        raise StoreFull(f"the transaction was undone: {getattr(cause, 'orig', cause)}") from cause


def _translated(error: BaseException) -> BaseException:
    """What the disk or the file does not take is StoreFull: not acknowledged, asked again. A wrong row stays a bug."""
    if isinstance(error, DBAPIError) and not isinstance(error, (IntegrityError, DataError, ProgrammingError)):
        return StoreFull(f"the store does not take it: {error.orig}")
    return error
