"""What the settings of all sources share. The protocols' own stand beside them; none loads a client library."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from agent.errors import ConfigError


class Part(BaseModel):
    """A table of the configuration file: unknown keys are errors, nothing changes it later."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def tags(self) -> frozenset[str] | None:
        """The names of all signals it can give, if they are known beforehand."""
        return None

    def stale_after(self, tag: str) -> float:
        """Seconds after which a signal of a source is stale."""
        seconds: float = getattr(self, "stale_after_s", 60.0)
        return seconds


Host = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\s/@?#]+$")]
"""A name or an address; no URL, which may hold a password."""


def read_secret(field: str, path: Path) -> str:
    """The first line of a secret's file. Raises ConfigError if it cannot be read or everybody can read it."""
    try:
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise ConfigError(field, str(path), "every user can read it; chmod o-rw")
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(field, str(path), f"cannot be read: {type(error).__name__}") from error
    if not lines or not lines[0]:
        raise ConfigError(field, str(path), "is empty")
    return lines[0]
