"""Settings of the Feishu app. Imports no SDK: the configuration is read without it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from agent.errors import ConfigError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class FeishuSettings(BaseModel):
    """[feishu]: one self-built app, used by one gateway only (two would steal each other's clicks)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    app_id: str = Field(min_length=1, description="App ID from the developer console, cli_…")
    app_secret_file: Path = Field(description="file with the App Secret, or the name of a systemd credential")
    base_url: str = Field(default="https://open.feishu.cn", description="https://open.larksuite.com for Lark")
    language: Literal["zh", "en"] = Field(default="zh", description="language of groups, cards and messages")
    timeout_s: float = Field(default=10.0, gt=0, le=30, description="longest wait to connect, and for an answer")
    click_wait_s: float = Field(default=2.5, gt=0, le=2.8, description="longest wait for a verdict (Feishu gives 3 s)")
    ping_s: float = Field(default=20.0, gt=0, le=30, description="pause between two pings of the long connection")
    silent_s: float = Field(default=60.0, gt=0, le=80, description="a long connection silent for so long is replaced")

    @field_validator("base_url")
    @classmethod
    def _origin(cls, value: str) -> str:
        """What lark's client accepts: https, or http to this machine, and nothing behind the host."""
        try:
            url = urlsplit(value)
            known = url.port is None or url.port > 0
        except ValueError:  # its own words may repeat a password
            known = False
        if not known or not re.fullmatch(r"[\x21-\x7e]+", value):
            raise ValueError("write scheme, host and port only, as in https://open.feishu.cn")
        if url.scheme != "https" and not (url.scheme == "http" and url.hostname in _LOOPBACK):
            raise ValueError("write https://HOST (http only to 127.0.0.1)")
        if not url.hostname or "@" in url.netloc or url.path or url.query or url.fragment:
            raise ValueError("write scheme, host and port only, as in https://open.feishu.cn")
        return value

    def secret(self) -> str:
        """The App Secret, from the file if it can be read, else from $CREDENTIALS_DIRECTORY/NAME (LoadCredential=).

        The credential is looked up by the file's name: configuration makes relative paths absolute before we see them.
        Raises ConfigError.
        """
        folder = os.environ.get("CREDENTIALS_DIRECTORY")
        credential = [Path(folder) / self.app_secret_file.name] if folder else []
        for place in (self.app_secret_file, *credential):  # reading tells: asking first fails under a closed folder
            try:
                found = place.read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError):
                continue
            if found:
                return found
        hint = "no readable, non-empty file and no systemd credential of that name"
        raise ConfigError("feishu.app_secret_file", str(self.app_secret_file), hint)
