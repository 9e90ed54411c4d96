"""Starts modbus_peer.c over TCP or on a pseudo-terminal, a two-wire bus of pseudo-terminals, and the collector."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import subprocess
import threading
import time
import tty
from contextlib import asynccontextmanager
from pathlib import Path

from agent.clock import SystemClock
from agent.collectors.modbus.collector import ModbusCollector
from agent.model import SourceHealth

SOURCE = Path(__file__).with_name("modbus_peer.c")


def build(folder: Path) -> Path:
    """Compile the peer against Debian's libmodbus."""
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "libmodbus"], check=True, capture_output=True, text=True
    ).stdout.split()
    program = folder / "modbus_peer"
    subprocess.run(["gcc", "-O2", "-Wall", "-o", program, SOURCE, *flags], check=True)
    return program


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Peer:
    """A running peer. `requests` are (unit, function, address, count) as it received them."""

    def __init__(self, program: Path, *args: str | int) -> None:
        self.requests: list[tuple[int, ...]] = []
        self._ok = threading.Semaphore(0)
        self.process = subprocess.Popen(
            [program, *map(str, args)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        assert self.process.stdout is not None and self.process.stdout.readline() == "ready\n"
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout or ():
            if line == "ok\n":
                self._ok.release()
            else:
                self.requests.append(tuple(map(int, line.split())))

    def tell(self, command: str) -> None:
        """One command; it holds when this returns."""
        assert self.process.stdin is not None
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        assert self._ok.acquire(timeout=10), command

    def fault(self, kind: str, arg: int = 0, times: int = 1) -> None:
        self.tell(f"fault {kind} {arg} {times}")

    def end(self) -> None:
        self.process.kill()
        self.process.wait(5)
        self._reader.join(5)
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Bus:
    """A serial line. Each device hears only what is for its unit: libmodbus, hearing a request to another, waits for
    the answer, and misses its own next request when that other is dead.

    `master` and `devices` are paths of terminals. `heard` is all that the master sent.
    """

    def __init__(self, *units: int) -> None:
        self._units = units
        pairs = [os.openpty() for _ in range(len(units) + 1)]
        for _, end in pairs:
            tty.setraw(end)
        self._near = [near for near, _ in pairs]
        self._far = [far for _, far in pairs]
        self.master, *self.devices = [os.ttyname(far) for far in self._far]
        self.heard = bytearray()
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self) -> None:
        master, *devices = self._near
        while True:
            ready, _, _ = select.select([self._stop, *self._near], [], [])
            if self._stop in ready:
                return
            for end in ready:
                try:
                    data = os.read(end, 4096)
                except OSError:
                    return
                if end == master:
                    self.heard += data
                    for unit, device in zip(self._units, devices, strict=True):
                        if unit == data[0]:
                            os.write(device, data)
                else:
                    os.write(master, data)

    def say(self, data: bytes) -> None:
        """Something on the line that no device said."""
        os.write(self._near[0], data)

    def hang_up(self) -> None:
        """As if the adapter were pulled out."""
        os.write(self._stopped, b"\0")
        self._thread.join(5)
        for end in (*self._near, *self._far):
            os.close(end)
        self._near, self._far = [], []

    def close(self) -> None:
        self.hang_up()
        os.close(self._stop)
        os.close(self._stopped)

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class DeviceServer:
    """Carries bytes between a terminal and whoever connected last; gives its port."""

    def __init__(self, path: str) -> None:
        self._line = os.open(path, os.O_RDWR | os.O_NOCTTY)
        self._server = socket.create_server(("127.0.0.1", 0))
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def _carry(self) -> None:
        client = None
        while True:
            ends = [self._stop, self._server, self._line, *([client] if client else [])]
            ready, _, _ = select.select(ends, [], [])
            try:
                if self._stop in ready:
                    break
                if self._server in ready:
                    if client:
                        client.close()
                    client, _ = self._server.accept()
                    continue
                if client in ready:
                    data = client.recv(4096)
                    os.write(self._line, data)
                    if not data:
                        raise ConnectionError
                if self._line in ready:
                    data = os.read(self._line, 4096)
                    if client:
                        client.sendall(data)
            except ConnectionError:
                client.close()
                client = None
        if client:
            client.close()

    def __enter__(self) -> int:
        self._thread.start()
        return self._server.getsockname()[1]

    def __exit__(self, *_: object) -> None:
        os.write(self._stopped, b"\0")
        self._thread.join(5)
        self._server.close()
        for end in (self._line, self._stop, self._stopped):
            os.close(end)


def reg(tag, address, kind="uint16", **over):
    return {"tag": tag, "address": address, "type": kind} | over


class Sink:
    """An emit that keeps what it is given."""

    def __init__(self) -> None:
        self.signals = []

    async def __call__(self, signals):
        self.signals += signals

    def of(self, tag):
        return [s.value for s in self.signals if s.tag == tag]

    def last(self):
        return {s.tag: s.value for s in self.signals}


@asynccontextmanager
async def collecting(settings, emit, name="plc"):
    health = SourceHealth(name, "modbus", 10)
    task = asyncio.create_task(ModbusCollector(name, settings, SystemClock(), health).run(emit))
    try:
        yield health
        assert not task.done(), task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition, seconds=4.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)
