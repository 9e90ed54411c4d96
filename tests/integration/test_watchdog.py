"""systemd's watchdog is fed from work done: a store that takes nothing starves it, although the process lives."""

import os
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from agent.sandbox.demo_file import write_config, write_people

ROOT = Path(__file__).parents[2]
PERIOD_S = 1.0
"""Half of the WatchdogSec that the edge is told."""


def heard(listener: socket.socket, seconds: float, enough: int = 99) -> int:
    """How often the watchdog was fed, until it was fed `enough` or the time is over."""
    count, end = 0, time.monotonic() + seconds
    while count < enough and (left := end - time.monotonic()) > 0:
        listener.settimeout(left)
        try:
            count += listener.recv(4096) == b"WATCHDOG=1"
        except TimeoutError:
            break
    return count


@pytest.mark.timeout(90)
def test_a_locked_store_starves_the_watchdog_and_a_free_one_feeds_it_again(tmp_path: Path) -> None:
    write_people(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    write_config(tmp_path, {"kiosk": port, "desk": 1, "sandbox": 1, "broker": 1, "plc": 1})
    (tmp_path / "secrets" / "andon").write_text("nobody listens there")
    (tmp_path / "secrets" / "andon").chmod(0o600)
    words = [sys.executable, "-m", "agent", "run", "--role", "edge", "--config", str(tmp_path / "agent.toml")]
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(tmp_path / "notify"))
        told = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": str(int(2e6 * PERIOD_S))}
        with (tmp_path / "log").open("w") as log, subprocess.Popen(words, env=told, cwd=ROOT, stderr=log) as edge:
            try:
                assert heard(listener, 30, enough=3) == 3, (tmp_path / "log").read_text()
                with closing(sqlite3.connect(tmp_path / "edge" / "edge.db", isolation_level=None)) as thief:
                    thief.execute("BEGIN IMMEDIATE")
                    heard(listener, PERIOD_S)  # one may be under way
                    assert heard(listener, 14) == 0  # each attempt waits 5 s, behind those of others
                    assert edge.poll() is None, "it lives, and only systemd ends it"
                    thief.execute("ROLLBACK")
                assert heard(listener, 15, enough=2) == 2
            finally:
                edge.terminate()
                assert edge.wait(15) == 0
