"""`andon db upgrade|check|backup`: the only commands that open a store file themselves, and not while it is in use."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy.exc import DBAPIError

from agent.app.role import lock
from agent.commands.talk import common
from agent.config import read_config
from agent.errors import AgentError, ConfigError
from agent.outbox.queue import balance
from agent.store import audit
from agent.store.engine import driver, open_writer
from agent.store.facts import mark_copy
from agent.store.schema import HEAD, upgrade


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the commands."""
    parser = verbs.add_parser("db", help="upgrade, check and back up a store")
    kinds = parser.add_subparsers(dest="what", required=True)
    for name, run, text in (
        ("upgrade", run_upgrade, "bring the store to this program's schema"),
        ("check", run_check, "integrity, conservation, audit chain"),
        ("backup", run_backup, "a verified copy, also while the agent runs"),
    ):
        command = kinds.add_parser(name, help=text)
        common(command, roles=True)
        command.set_defaults(run=run)
        if name == "backup":
            command.add_argument("to", type=Path, help="file to write; must not exist")


def _file(args: argparse.Namespace) -> Path:
    config = read_config(args.config)
    folder = config.edge.data_dir if args.role == "edge" else config.relay.data_dir
    return Path(folder) / f"{args.role}.db"


@contextmanager
def _alone(args: argparse.Namespace) -> Iterator[Path]:
    path = _file(args)
    held = lock(path.parent, f"{args.role}.data_dir")
    try:
        with _in_words(path):
            yield path
    finally:
        held.close()


@contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """What SQLite says of a file is an answer of the command."""
    try:
        yield
    except (driver().Error, DBAPIError) as error:
        said = getattr(error, "orig", None) or error
        raise AgentError(
            f"{path}: {said}; is there room, may it be written, is it a store? Else restore a backup"
        ) from error


def _there(args: argparse.Namespace) -> Path:
    path = _file(args)
    if not path.exists():
        raise ConfigError("store", str(path), "no such file; nothing has run here yet")
    return path


def _say(args: argparse.Namespace, data: dict[str, Any]) -> None:
    print(json.dumps(data) if args.json else "\n".join(f"{name}: {value}" for name, value in data.items()))


def run_upgrade(args: argparse.Namespace) -> int:
    """Upgrade the schema. Raises ConfigError while the agent runs."""
    with _alone(args) as path:
        before = upgrade(path)
    _say(args, {"file": str(path), "from": before or "empty", "to": HEAD})
    return 0


def run_check(args: argparse.Namespace) -> int:
    """Check a store; exit 1 if anything is wrong. Raises ConfigError while the agent runs or without a file."""
    _there(args)
    with _alone(args) as path:
        engine = open_writer(path)
        with engine.connect() as conn:
            integrity = conn.exec_driver_sql("PRAGMA integrity_check").scalar_one()
            found = balance(conn)
            broken = audit.broken_at(conn)
        engine.dispose()
    _say(args, {"file": str(path), "integrity": integrity, "audit_broken_at": broken} | found)
    return 0 if integrity == "ok" and not found["missing"] and broken is None else 1


def _copy(path: Path, to: Path) -> str:
    """Copy and mark; what integrity_check says of the copy, which is one file in the end, without -wal and -shm."""
    source = driver().connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        source.execute("VACUUM INTO ?", (str(to),))
    finally:
        source.close()
    engine = open_writer(to)
    try:
        with engine.begin() as conn:
            mark_copy(conn)
        with engine.connect() as conn:
            return str(conn.exec_driver_sql("PRAGMA integrity_check").scalar_one())
    finally:
        engine.dispose()


def run_backup(args: argparse.Namespace) -> int:
    """Copy a store with SQLite's VACUUM INTO (a snapshot, also under load) and check the copy."""
    path = _there(args)
    if args.to.exists():
        raise ConfigError("to", str(args.to), "exists already; choose another name")
    with _in_words(args.to):
        integrity = _copy(path, args.to)
    if integrity != "ok":
        raise AgentError(f"the copy {args.to} is damaged: {integrity}")
    _say(args, {"file": str(path), "copy": str(args.to), "bytes": args.to.stat().st_size, "integrity": integrity})
    return 0
