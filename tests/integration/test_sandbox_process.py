"""The sandbox as a process of its own: it starts, its clock moves with others', it serves its page, it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.clock import SharedClock


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sandbox")
    (folder / "static" / "assets").mkdir(parents=True)
    (folder / "static" / "sandbox.html").write_text("<title>沙箱</title>")
    (folder / "static" / "assets" / "sandbox.js").write_text("1")
    (folder / "people.json").write_text(json.dumps({"people": [{"id": "7", "name": "甲"}]}))
    return folder


@contextmanager
def running(folder: Path, **more: Any) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--port", str(port), "--people", "people.json", "--clock-file", "clock", "--static", "static"]
    command = [sys.executable, "-m", "agent.sandbox", *arguments, "--die-with-parent", str(os.getpid())]
    here = Path(__file__).parents[2]
    with subprocess.Popen(command, cwd=folder, env={"PYTHONPATH": str(here), "PATH": ""}, text=True, **more) as process:
        url = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 10
        while True:
            try:
                httpx.get(f"{url}/sandbox/api/clock", timeout=2)
                break
            except httpx.TransportError:
                assert time.monotonic() < until and process.poll() is None
                time.sleep(0.05)
        yield url, process
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) in (0, -signal.SIGTERM)


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with running(folder) as (url, _):
        yield url


def test_the_page_its_assets_and_its_people_are_served(url: str) -> None:
    page = httpx.get(url)
    assert "沙箱" in page.text and "default-src 'self'" in page.headers["content-security-policy"]
    assert httpx.get(f"{url}/assets/sandbox.js").text == "1"
    assert [p["name"] for p in httpx.get(f"{url}/sandbox/api/state").json()["people"]] == ["甲"]


def test_the_clock_moves_for_every_process_that_shares_it(url: str, folder: Path) -> None:
    clock = SharedClock(folder / "clock")
    assert httpx.post(f"{url}/sandbox/api/clock", json={"forward_s": 3600}).status_code == 200
    assert clock.offset == 3600
    deadline = clock.now().replace(microsecond=0).timestamp() + 7200
    at = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(deadline))
    assert httpx.put(f"{url}/sandbox/api/clock/next", json={"at": at}).json()["next_deadline"] == at
    httpx.post(f"{url}/sandbox/api/clock", json={"to": "next"})
    assert 0 <= clock.now().timestamp() - deadline < 2
    again = httpx.post(f"{url}/sandbox/api/clock", json={"to": "next"})
    assert (again.status_code, again.json()["error"]["key"]) == (404, "sandbox.error.no_deadline")
    assert (
        httpx.post(f"{url}/sandbox/api/clock", json={"until": at}).json()["error"]["key"] == "sandbox.error.clock_back"
    )
    assert httpx.post(f"{url}/sandbox/api/clock", json={"forward_s": 1, "to": "next"}).status_code == 422
    assert httpx.post(f"{url}/sandbox/api/clock", json={"forwards": 1}).status_code == 422


def test_the_page_is_told_of_changes_as_they_come(url: str) -> None:
    with httpx.stream("GET", f"{url}/sandbox/api/stream", timeout=10) as answer:
        events = read_events(answer.iter_lines())
        kind, snapshot = next(events)
        assert kind == "snapshot" and snapshot["office"]["up"]
        said = httpx.post(f"{url}/sandbox/api/say", json={"person": "7", "text": "你好"}).json()
        seen = {}
        while "message" not in seen or "group" not in seen:
            kind, data = next(events)
            seen[kind] = data
        assert seen["message"]["message_id"] == said["message_id"] and seen["message"]["text"] == "你好"
        assert (seen["group"]["kind"], seen["group"]["person"]) == ("p2p", "7")
        httpx.post(f"{url}/sandbox/api/faults", json={"api": "*", "kind": "token", "times": 1})
        while (event := next(events))[0] != "faults":
            continue
        assert event[1]["faults"][0]["kind"] == "token"


def test_it_ends_in_silence_while_a_page_is_open(folder: Path) -> None:
    with (
        running(folder, stderr=subprocess.PIPE) as (url, process),
        httpx.stream("GET", f"{url}/sandbox/api/stream", timeout=10) as answer,
    ):
        lines = answer.iter_lines()
        assert next(lines) == "event: snapshot"
        process.send_signal(signal.SIGTERM)
        assert [line for line in lines if line.startswith("event:")] == []
        assert process.stderr is not None and process.stderr.read() == ""


def read_events(lines: Iterator[str]) -> Iterator[tuple[str, Any]]:
    kind = ""
    for line in lines:
        name, _, value = line.partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


def test_a_foreign_host_name_is_refused(url: str) -> None:
    assert httpx.get(f"{url}/sandbox/api/state", headers={"Host": "evil.example"}).status_code == 421


def test_a_parent_that_ended_first_is_noticed() -> None:
    """A demo killed just after it started its parts: what it started ends too, though nobody tells it any more."""
    words = [sys.executable, "-m", "agent.sandbox", "--port", "0", "--die-with-parent", str(os.getppid())]
    done = subprocess.run(words, cwd=Path(__file__).parents[2], timeout=20, check=False)
    assert done.returncode == -signal.SIGTERM
