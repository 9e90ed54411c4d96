"""Child processes of a rig: started with a log file, stopped by their own pid, and ports that stay free meanwhile."""

from __future__ import annotations

import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from agent.lifecycle import die_with_parent

ROOT = Path(__file__).resolve().parents[3]
T = TypeVar("T")


def free_port() -> int:
    """A free port below the range that outgoing connections take: a killed server finds it free when it comes again."""
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def until(found: Callable[[], T | None], within_s: float, what: str, pause_s: float = 0.02) -> T:
    """Ask until there is an answer that is true. Raises AssertionError with `what` when the time is over."""
    end = time.monotonic() + within_s
    while True:
        if answer := found():
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(pause_s)


class Program:
    """A command that is started, ended and started again; its log is appended to."""

    def __init__(self, name: str, words: Sequence[str], log: Path) -> None:
        self.name, self.words, self.log = name, list(words), log
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was not started"
        return self.process.pid

    def start(self) -> None:
        """Start it; it ends with this process. Call from the main thread (prctl(2) looks at the thread)."""
        assert not self.running, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.words, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, preexec_fn=die_with_parent
            )
        self.starts += 1

    def end(self, number: int = signal.SIGTERM, within_s: float = 15.0) -> int:
        """Send a signal and wait until it is gone; the exit code. One that does not end is killed and reported."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.name} did not end within {within_s:g} s of signal {number}") from None

    def kill(self) -> None:
        """kill -9."""
        self.end(signal.SIGKILL)

    def said(self) -> str:
        """Everything it has logged over all its starts."""
        return self.log.read_text("utf-8", "replace") if self.log.exists() else ""


def mosquitto(folder: Path, port: int) -> Program:
    """Debian's broker with persistent sessions and no limit on what waits for a client that is away."""
    folder.mkdir()
    folder.chmod(0o777)
    lines = (
        f"listener {port} 127.0.0.1", "allow_anonymous true", "persistence true", f"persistence_location {folder}/",
        "max_inflight_messages 1000", "max_queued_messages 0",
    )  # fmt: skip
    file = folder / "mosquitto.conf"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return Program("broker", ["/usr/sbin/mosquitto", "-c", str(file)], folder / "log")
