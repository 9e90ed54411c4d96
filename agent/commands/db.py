"""`andon db upgrade|check|backup`: the only commands that open a store file themselves, and not while it is in use."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.app.role import lock
from agent.commands.talk import common
from agent.config import read_config
from agent.errors import AgentError, ConfigError
from agent.outbox.queue import balance
from agent.store import audit
from agent.store.engine import driver, open_reader, open_writer
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
    held = lock(path.parent)
    try:
        yield path
    finally:
        held.close()


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
    with _alone(args) as path:
        if not path.exists():
            raise ConfigError("store", str(path), "no such file; nothing has run here yet")
        engine = open_writer(path)
        with engine.connect() as conn:
            integrity = conn.exec_driver_sql("PRAGMA integrity_check").scalar_one()
            found = balance(conn)
            broken = audit.broken_at(conn)
        engine.dispose()
    _say(args, {"file": str(path), "integrity": integrity, "audit_broken_at": broken} | found)
    return 0 if integrity == "ok" and not found["missing"] and broken is None else 1


def run_backup(args: argparse.Namespace) -> int:
    """Copy a store with SQLite's VACUUM INTO (a snapshot, also under load) and check the copy."""
    path = _file(args)
    if not path.exists():
        raise ConfigError("store", str(path), "no such file; nothing has run here yet")
    if args.to.exists():
        raise ConfigError("to", str(args.to), "exists already; choose another name")
    module = driver()
    source = module.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    try:
        source.execute("VACUUM INTO ?", (str(args.to),))
    finally:
        source.close()
    engine = open_writer(args.to)
    with engine.begin() as conn:
        mark_copy(conn)
    engine.dispose()
    engine = open_reader(args.to)
    with engine.connect() as conn:
        integrity = conn.exec_driver_sql("PRAGMA integrity_check").scalar_one()
    engine.dispose()
    if integrity != "ok":
        raise AgentError(f"the copy {args.to} is damaged: {integrity}")
    _say(args, {"file": str(path), "copy": str(args.to), "bytes": args.to.stat().st_size, "integrity": integrity})
    return 0
