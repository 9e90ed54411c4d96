"""The composition root: the only package that knows every part. Nothing happens until `run` of what is built here."""

from __future__ import annotations

from pathlib import Path

from agent.app.role import Role
from agent.clock import Clock
from agent.config import Config


def build_edge(config: Config, clock: Clock, static: Path | None = None) -> Role:
    """The edge of this configuration."""
    from agent.app.edge import Edge

    return Edge(config, clock, static or built_page())


def build_relay(config: Config, clock: Clock) -> Role:
    """The relay of this configuration; imports lark-oapi, which costs 4 s. Raises ConfigError without [feishu]."""
    from agent.app.relay import Relay

    return Relay(config, clock)


def built_page() -> Path | None:
    """The page built into the package, None in a checkout where nobody built it."""
    folder = Path(__file__).parent.parent / "ui" / "static"
    return folder if (folder / "index.html").is_file() else None
