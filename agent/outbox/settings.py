"""Settings of the link between edge and relay."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class LinkSettings(BaseModel):
    """[link]: where edge and relay meet. The relay listens, the edge dials."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    socket: Path = Field(default=Path("/run/andon/link/relay.sock"), description="Unix socket on one host")
    push_timeout_s: float = Field(default=10, gt=0, le=120, description="one push of items, seconds")
    poll_s: float = Field(default=25, ge=1, le=60, description="long poll for replies, seconds")
    batch: int = Field(default=200, ge=1, le=500, description="items in one push")
    keep_days: int = Field(default=30, ge=30, le=3650, description="how long ids of delivered items are remembered")
