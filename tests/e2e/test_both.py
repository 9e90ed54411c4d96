"""`andon run`: edge and relay on one host from one file; the relay is a child that may die; stopping is quick."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from agent.clock import SystemClock
from agent.sandbox.demo_file import APP_ID, write_config, write_people
from agent.sandbox.local import LocalSandbox
from agent.sandbox.world.people import load_directory
from agent.sandbox.world.world import AppSettings, SandboxWorld

ROOT = Path(__file__).parents[2]


def until(check: Callable[[], object], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if check():
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds} s")


class Agent:
    """`andon run` over a generated file, with a sandbox in this process."""

    def __init__(self, folder: Path, sandbox_port: int) -> None:
        self.folder = folder
        ports = {"kiosk": free(), "desk": free(), "sandbox": sandbox_port, "broker": free(), "plc": free()}
        self.edge, self.desk = (httpx.Client(base_url=f"http://127.0.0.1:{ports[n]}") for n in ("kiosk", "desk"))
        write_people(folder)
        write_config(folder, ports)
        (folder / "secrets" / "andon").write_text("nobody listens there")
        self.config = folder / "agent.toml"
        self.log = (folder / "agent.log").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "agent", "run", "--config", str(self.config)],
            stderr=self.log, stdout=self.log, cwd=ROOT,
        )  # fmt: skip

    def said(self) -> str:
        return (self.folder / "agent.log").read_text()

    def relay(self) -> psutil.Process | None:
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):
                if "relay" in child.cmdline():
                    return child
        return None

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        self.log.close()
        self.edge.close()
        self.desk.close()


def free() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    clock = SystemClock()
    probe = tmp_path / "probe"
    probe.mkdir()
    port = free()
    write_config(tmp_path, dict.fromkeys(("kiosk", "desk", "sandbox", "broker", "plc"), port))
    secret = (tmp_path / "secrets" / "feishu").read_text().strip()
    world = SandboxWorld(clock, load_directory(None, APP_ID), AppSettings(app_id=APP_ID, app_secret=secret))
    with LocalSandbox(world, port=port):
        running = Agent(tmp_path, port)
        try:
            yield running
        finally:
            running.close()


@pytest.mark.timeout(120)
def test_both_roles_from_one_file(agent: Agent) -> None:
    until(lambda: agent.edge.get("/readyz").status_code == 200, 10)
    until(lambda: agent.desk.get("/readyz").status_code == 200, 30)
    until(lambda: "andon_feishu_connected 1" in agent.desk.get("/metrics").text)
    for client in (agent.edge, agent.desk):
        text = client.get("/metrics").text
        assert re.search(r"^andon_outbox_missing 0$", text, re.MULTILINE), text
        assert "secret" not in text
    until(lambda: "andon_link_up 1" in agent.edge.get("/metrics").text)

    # every source is away: the agent stands, and says so
    assert re.search(r'andon_source_[a-z_]+\{.*source="coater"', agent.edge.get("/metrics").text)

    # the relay dies; the edge goes on, and a new relay comes
    first = agent.relay()
    first.kill()
    until(lambda: (now := agent.relay()) is not None and now.pid != first.pid)
    assert agent.edge.get("/readyz").status_code == 200
    until(lambda: agent.desk.get("/readyz").status_code == 200, 30)

    # the commands speak to it
    status = subprocess.run(
        [sys.executable, "-m", "agent", "outbox", "status", "--json", "--role", "relay", "--config", str(agent.config)],
        capture_output=True, text=True, cwd=ROOT, timeout=30,
    )  # fmt: skip
    assert json.loads(status.stdout)["missing"] == 0, status.stderr
    locked = subprocess.run(
        [sys.executable, "-m", "agent", "db", "check", "--config", str(agent.config)],
        capture_output=True, text=True, cwd=ROOT, timeout=30,
    )  # fmt: skip
    assert locked.returncode == 78 and "another andon process" in locked.stderr

    # and it stops within 10 s, leaving nothing
    children = psutil.Process(agent.process.pid).children(recursive=True)
    started = time.monotonic()
    agent.process.send_signal(signal.SIGTERM)
    assert agent.process.wait(10) == 0, agent.said()
    assert time.monotonic() - started < 10
    assert psutil.wait_procs(children, timeout=3)[1] == []
    for command in (["db", "check"], ["db", "backup", str(agent.folder / "copy.db")], ["db", "upgrade"]):
        done = subprocess.run(
            [sys.executable, "-m", "agent", *command, "--json", "--config", str(agent.config)],
            capture_output=True, text=True, cwd=ROOT, timeout=30,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_configuration_ends_with_78(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text("[site]\nid = 'sz'\nedge = 'R1'\n")
    done = subprocess.run(
        [sys.executable, "-m", "agent", "run", "--config", str(tmp_path / "agent.toml")],
        capture_output=True, text=True, cwd=ROOT, timeout=30,
    )  # fmt: skip
    assert done.returncode == 78
    assert "site.id = 'sz'" in done.stderr and "site.line" in done.stderr
