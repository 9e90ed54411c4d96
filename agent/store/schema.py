"""Brings a store file to the schema of this program, forward only.

SQLite: a batch rebuild with foreign keys on would delete children by cascade, so they are off before BEGIN, and
`foreign_key_check` must be empty before COMMIT.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.pool import NullPool

from agent.errors import ConfigError
from agent.store.engine import driver

HEAD = "0003"
"""The newest migration; a test compares it with the files."""


def version(engine: Engine) -> str | None:
    """The schema version of a store, None for an empty file."""
    with engine.connect() as conn:
        if not inspect(conn).has_table("alembic_version"):
            return None
        return conn.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def upgrade(path: Path) -> str | None:
    """Upgrade a store file that no process has open; returns the version it came from.

    Raises ConfigError if the file was written by a newer program.
    """
    module = driver()
    engine = create_engine(
        f"sqlite:///{path}", module=module, poolclass=NullPool, connect_args={"isolation_level": None}
    )
    try:
        before = version(engine)
        if before == HEAD:
            return before
        _migrate(engine, before, path)
        return before
    finally:
        engine.dispose()


def _migrate(engine: Engine, before: str | None, path: Path) -> None:
    # alembic costs 18 MB and 0.2 s: only when there is something to do
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if before is not None and before not in known:
        raise ConfigError(
            "store", str(path), f"schema {before} is newer than this program's {HEAD}; install the newer one"
        )
    with engine.connect() as conn:
        if before is None:
            conn.exec_driver_sql("PRAGMA auto_vacuum=INCREMENTAL")
        conn.exec_driver_sql("PRAGMA journal_mode=WAL")
        conn.exec_driver_sql("PRAGMA synchronous=FULL")
        conn.exec_driver_sql("PRAGMA foreign_keys=OFF")
        conn.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = conn
        command.upgrade(config, "head")
        if broken := conn.exec_driver_sql("PRAGMA foreign_key_check").fetchall():
            conn.exec_driver_sql("ROLLBACK")
            raise ConfigError("store", str(path), f"{len(broken)} rows would lose their parent; restore a backup")
        conn.exec_driver_sql("COMMIT")
