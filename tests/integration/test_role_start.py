"""How a role starts: it is ready when it can be asked, not before."""

from __future__ import annotations

import logging
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.__main__ import EX_CONFIG, main

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """The command sets one for its process, which is ours here."""
    mask = os.umask(0o022)
    yield
    os.umask(mask)


def test_an_edge_whose_port_is_taken_never_says_that_it_is_ready(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for path in CONFIG.glob("*.example.csv"):
        shutil.copy(path, tmp_path)
    text = (CONFIG / "agent.example.toml").read_text("utf-8").replace("/var/lib/andon/", "")
    for name in ("edge/admin", "relay/admin", "link/relay"):
        text = text.replace(f"/run/andon/{name}.sock", f"{name.partition('/')[0]}.sock")
    text = text.replace("10.20.0.5", "127.0.0.1").replace("10.20.0.11", "127.0.0.1")
    text = text.replace("/etc/andon/secrets/welder", "nobody").replace("port = 502 ", "port = 1 ")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (tmp_path / "agent.toml").write_text(text.replace("port = 8443", f"port = {port}"), "utf-8")
        assert main(["run", "--role", "edge", "--config", str(tmp_path / "agent.toml")]) == EX_CONFIG
    assert (
        f"edge.port = {port}: cannot listen there (127.0.0.1): Address already in use; stop" in capsys.readouterr().err
    )
    assert "edge ready" not in caplog.text
