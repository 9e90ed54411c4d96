"""Settings of the pages and the API that an edge serves."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class EdgeSettings(BaseModel):
    """[edge]: the process beside the line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_dir: Path = Field(default=Path("/var/lib/andon/edge"), description="store and blobs of the edge")
    host: str = Field(default="127.0.0.1", description="address the kiosk page and the API listen on")
    port: int = Field(default=8443, ge=1, le=65535, description="port of the kiosk page and the API")
    allowed_hosts: list[str] = Field(
        default_factory=lambda: ["localhost", "127.0.0.1"],
        description="names in the Host header that are answered (against DNS rebinding)",
    )
    admin_socket: Path = Field(default=Path("/run/andon/edge/admin.sock"), description="Unix socket for `andon`")
    points_days: int = Field(default=90, ge=1, description="days charted points are kept")
