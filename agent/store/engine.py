"""Opens the store: one SQLite file, one connection that writes, read-only connections for pages.

SQLite before 3.51.3 can corrupt a WAL file that two connections write or checkpoint at once
(sqlite.org/wal.html#walresetbug): only the store thread writes, and pysqlite3 brings a fixed SQLite where it has a
wheel.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path
from types import ModuleType
from typing import Any

from sqlalchemy import Engine, QueuePool, create_engine, event

from agent.errors import ConfigError

PRAGMAS = {
    "journal_mode": "wal",
    "synchronous": 2,  # FULL: the WAL is fsynced before a commit returns; NORMAL loses commits at power loss
    "busy_timeout": 5000,
    "foreign_keys": 1,
    "wal_autocheckpoint": 1000,
    "journal_size_limit": 64 * 1024 * 1024,
    "trusted_schema": 0,
    "cell_size_check": 1,
}


def driver() -> ModuleType:
    """pysqlite3 (SQLite ≥ 3.51.3) where it is installed, else the standard library's sqlite3."""
    with contextlib.suppress(ImportError):
        from pysqlite3 import dbapi2

        return dbapi2  # type: ignore[no-any-return]
    return sqlite3


def _apply(connection: Any, pragmas: dict[str, Any]) -> None:
    cursor = connection.cursor()
    for name, value in pragmas.items():
        cursor.execute(f"PRAGMA {name}={value}")
        got = cursor.execute(f"PRAGMA {name}").fetchone()[0]
        if got != value:
            raise ConfigError("store.path", name, f"SQLite answered {got!r} instead of {value!r}; use a local disk")
    cursor.close()


def open_writer(path: Path) -> Engine:
    """An engine whose only connection writes; every transaction begins IMMEDIATE.

    Raises ConfigError when the directory is missing or the file cannot be had with the durability we promise.
    """
    if not path.parent.is_dir():
        raise ConfigError("store.path", str(path), "make the directory, or let systemd's StateDirectory= do it")
    fresh = not path.exists()
    if fresh:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o640))
    engine = create_engine(
        f"sqlite:///{path}",
        module=driver(),
        pool_size=1,
        max_overflow=0,
        hide_parameters=True,  # an error reaches journals and the reasons of dead messages; what people wrote must not
        connect_args={"check_same_thread": False, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        if fresh:
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        _apply(connection, PRAGMAS)

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def open_reader(path: Path) -> Engine:
    """An engine of at most five read-only connections; they can neither write nor checkpoint."""
    module = driver()
    engine = create_engine(
        "sqlite://",
        module=module,
        creator=lambda: module.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False, isolation_level=None),
        poolclass=QueuePool,
        pool_size=5,
        max_overflow=10,
        pool_timeout=10,
    )

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: Any) -> None:
        _apply(connection, {"busy_timeout": 5000, "query_only": 1, "trusted_schema": 0})

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN")  # one snapshot per read

    return engine
