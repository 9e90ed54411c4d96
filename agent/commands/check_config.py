"""`andon check-config FILE`: read a configuration and say everything that is wrong with it; connects to nothing."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from agent.config import BadConfig, Config, read_config
from agent.errors import ConfigError
from agent.plant.directory import read_departments, read_people

T = TypeVar("T")


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = verbs.add_parser("check-config", help="check a configuration file; exit 78 if it is wrong")
    parser.add_argument("file", type=Path)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Check; prints what it found. Raises ConfigError (exit 78)."""
    config = read_config(args.file)
    found: list[ConfigError] = []
    people = _table(read_people, config.directory.people_file, found)
    departments = _table(read_departments, config.directory.departments_file, found)
    if people:
        known = {p.id for p in people}
        named = _named(config) | {f"departments.{d.id}.head": [d.head] for d in departments if d.head}
        hint = "not in directory.people_file; add or correct it"
        found += [ConfigError(field, one, hint) for field, ids in named.items() for one in ids if one not in known]
    if found:
        raise BadConfig(args.file, found)
    for line in config.deadlines.warnings():
        print(f"warning: {line}")
    if config.feishu is None:
        print("note: no [feishu] table: this file serves an edge only")
    print(f"ok: {len(config.sources)} sources, {len(config.characteristics)} characteristics, {len(people)} people")
    return 0


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
