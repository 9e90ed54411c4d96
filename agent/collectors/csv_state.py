"""How far the files of a folder were read, kept in a small file, so that a start does not read all of them again."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from agent.errors import ConfigError

log = logging.getLogger(__name__)

GONE = 1000
"""Files that are no longer there and are remembered: one may come back under another name."""


@dataclass(slots=True)
class Position:
    """How far a file was read. `head` is what its first bytes were, by which it is known under another name."""

    name: str
    head_size: int = 0
    head: str = ""
    offset: int = 0
    line: int = 0
    size: int = -1
    mtime: int = -1


class Positions(dict[str, Position]):
    """Positions by the name of the file; without a path they are not kept."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.path = path
        self.changed = False

    def load(self) -> None:
        """Read what was kept. Raises ConfigError if nothing can be kept there."""
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                kept = json.loads(self.path.read_bytes())
                self.update({name: Position(**position) for name, position in kept.items()})
            self.changed = True
            self.save()
        except OSError as error:
            raise ConfigError("state_dir", str(self.path.parent), f"cannot be used: {error.strerror}") from error
        except (ValueError, TypeError, AttributeError) as error:
            self.path.replace(self.path.with_suffix(".broken"))  # all is read again: the store knows the rows
            log.warning("%s was broken and set aside: %s", self.path, error)

    def save(self) -> None:
        """Keep them, whole or not at all. Raises OSError."""
        if self.path is None or not self.changed:
            return
        fresh = self.path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({name: asdict(position) for name, position in self.items()}, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        self.changed = False

    def forget(self, present: set[str], most: int) -> None:
        """Drop the oldest of the files that are gone, but for `most` of them."""
        gone = [name for name in self if name not in present]
        for name in gone[: max(0, len(gone) - most)]:
            self.pop(name)
