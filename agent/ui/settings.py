"""Settings of the pages and the API that an edge serves."""

from __future__ import annotations

import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _bare(name: str) -> str:
    """As it stands in a Host header, without a port: that is not compared."""
    if ":" in name or not re.fullmatch(r"[\w.-]{1,253}", name):
        try:
            ip_address(name.strip("[]"))
        except ValueError as error:
            raise ValueError("write a name or an address alone, without http:// and port") from error
    return name


class EdgeSettings(BaseModel):
    """[edge]: the process beside the line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data_dir: Path = Field(default=Path("/var/lib/andon/edge"), description="store and blobs of the edge")
    host: str = Field(
        default="127.0.0.1", min_length=1, max_length=253, description="address the kiosk page and the API listen on"
    )
    port: int = Field(default=8443, ge=1, le=65535, description="port of the kiosk page and the API")
    allowed_hosts: list[Annotated[str, AfterValidator(_bare)]] = Field(
        default_factory=lambda: ["localhost", "127.0.0.1"],
        min_length=1,
        description="names in the Host header that are answered (against DNS rebinding)",
    )
    admin_socket: Path = Field(default=Path("/run/andon/edge/admin.sock"), description="Unix socket for `andon`")
    points_days: int = Field(default=90, ge=1, le=3650, description="days charted points are kept")
