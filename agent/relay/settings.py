"""Settings of the relay role."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class RelaySettings(BaseModel):
    """[relay]: the process that speaks to Feishu."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_dir: Path = Field(default=Path("/var/lib/andon/relay"), description="store and blobs of the relay")
    host: str = Field(
        default="127.0.0.1", min_length=1, max_length=253, description="address of /healthz, /readyz and /metrics"
    )
    port: int = Field(default=8444, ge=1, le=65535, description="port of /healthz, /readyz and /metrics")
    admin_socket: Path = Field(default=Path("/run/andon/relay/admin.sock"), description="Unix socket for `andon`")
    workers: int = Field(default=4, ge=1, le=16, description="messages under way to Feishu at once")
    max_item_bytes: int = Field(default=262144, ge=1024, le=1 << 24, description="largest item taken from an edge")
    keep_days: int = Field(
        default=30, ge=30, le=3650, description="days an undelivered message is tried; ids are kept as long"
    )
    verdict_wait_s: float = Field(default=2.0, gt=0, le=2.4, description="how long a click waits for the edge")
    edge_silent_s: float = Field(
        default=30, gt=0, le=3600, description="an edge that has not polled for so long is offline"
    )
