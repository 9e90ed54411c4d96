"""`andon check-config FILE`: read a configuration and say everything that is wrong with it; connects to nothing."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from agent.commands.talk import DEFAULT
from agent.config import BadConfig, Config, read_config
from agent.errors import ConfigError
from agent.plant.directory import read_departments, read_people

T = TypeVar("T")


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = verbs.add_parser("check-config", help="check a configuration file; exit 78 if it is wrong")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("file", type=Path, nargs="?", help=f"the TOML file (default {DEFAULT})")
    which.add_argument("--config", type=Path, metavar="FILE", help="the same, as other commands take it")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check; prints what it found. Raises ConfigError (exit 78)."""
    file: Path = args.file or args.config or DEFAULT
    config = read_config(file)
    found: list[ConfigError] = []
    people = _table(read_people, config.directory.people_file, found)
    departments = _table(read_departments, config.directory.departments_file, found)
    if people:
        known = {p.id for p in people}
        named = _named(config) | {f"departments.{d.id}.head": [d.head] for d in departments if d.head}
        hint = "not in directory.people_file; add or correct it"
        found += [ConfigError(field, one, hint) for field, ids in named.items() for one in ids if one not in known]
    if found:
        raise BadConfig(file, found)
    for line in config.deadlines.warnings():
        print(f"warning: {line}")
    if config.feishu is None:
        print("note: no [feishu] table: this file serves an edge only")
    for line in _secrets(config):
        print(f"note: {line}")
    parts = (
        _counted(len(config.sources), "source", "sources"),
        _counted(len(config.characteristics), "characteristic", "characteristics"),
        _counted(len(people), "person", "people"),
    )
    print(f"ok: {', '.join(parts)}")
    return 0


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _secrets(config: Config) -> Iterator[str]:
    """What is remarkable about files of secrets, which may not be here yet: looked at from outside, never read."""
    for name, source in config.sources.items():
        path = getattr(source, "password_file", None)
        if path is not None and (what := _wrong_with(path)):
            yield f"sources.{name}.password_file = {str(path)!r}: {what}; the source fails until that is mended"
    if config.feishu is not None:
        secret = config.feishu.app_secret_file  # where it is none, systemd hands it over
        if secret.exists() and (what := _wrong_with(secret)):
            yield f"feishu.app_secret_file = {str(secret)!r}: {what}"


def _wrong_with(path: Path) -> str | None:
    try:
        found = path.stat()
    except OSError as error:
        return f"{error.strerror}"
    if not stat.S_ISREG(found.st_mode):
        return "not a file"
    if not os.access(path, os.R_OK):
        return "cannot be read by who runs this check"
    if found.st_size == 0:
        return "is empty"
    return "every user can read it; chmod o-rw" if found.st_mode & (stat.S_IROTH | stat.S_IWOTH) else None


def _table(read: Callable[[Path], list[T]], path: Path | None, found: list[ConfigError]) -> list[T]:
    """The rows of a CSV file; nothing of one that is wrong, whose problems are added to `found`."""
    try:
        return read(path) if path is not None else []
    except ConfigError as error:
        found += getattr(error, "found", [error])
        return []


def _named(config: Config) -> dict[str, list[str]]:
    """Every employee number that the file names, by field."""
    named = {
        "tickets.default_owner": [config.tickets.default_owner],
        "tickets.quality": list(config.tickets.quality),
        "deadlines.escalation.fallback": list(config.deadlines.escalation.fallback),
    }
    for c in config.characteristics:
        named[f"characteristics.{c.id}.owner"] = [c.owner] if c.owner else []
        named[f"characteristics.{c.id}.team"] = list(c.team)
    for category in config.tickets.categories:
        named[f"tickets.categories.{category.id}.owner"] = [category.owner] if category.owner else []
    return named
