"""`andon demo`: a simulated coating line, the real edge and relay, and a Feishu stand-in, in one command."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from agent.commands.run import start_logging
from agent.errors import ConfigError
from agent.lifecycle import stop_on_signals
from agent.sandbox.demo_file import APP_ID, WRITTEN_BY, write_config, write_people

log = logging.getLogger(__name__)
STATIONS = ("OP10", "OP20")
PORTS = {"kiosk": 8443, "desk": 8444, "sandbox": 8899, "broker": 11883, "plc": 15020}


@dataclass(frozen=True, slots=True)
class Place:
    """Where this demo lives: a folder of its own, ports on 127.0.0.1."""

    folder: Path
    ports: Mapping[str, int]

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    @property
    def clock(self) -> Path:
        return self.folder / "clock"


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = verbs.add_parser("demo", help="a simulated line with everything, on this machine")
    parser.add_argument("--keep", type=Path, help="folder to leave behind (default: a temporary one, deleted)")
    parser.add_argument("--any-port", action="store_true", help="take free ports instead of the usual ones")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same line")
    parser.add_argument("--log-level", default="WARNING", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until Ctrl-C; leaves nothing running. Raises ConfigError."""
    start_logging(args.log_level)
    folder = args.keep or Path(tempfile.mkdtemp(prefix="andon-demo-"))
    held = take_folder(folder)
    try:
        place = Place(folder.resolve(), _ports(args.any_port))
        asyncio.run(_demo(args, place))
    finally:
        if args.keep is None:
            shutil.rmtree(folder, ignore_errors=True)
        held.close()
    return 0


def take_folder(folder: Path) -> TextIO:
    """Make the folder this demo's alone; what an earlier one kept in its stores goes. Raises ConfigError."""
    from agent.app.role import Locked, lock

    mark = folder / "agent.toml"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        ours = mark.is_file() and mark.read_text("utf-8", "replace").startswith(WRITTEN_BY)
        if not ours and any(folder.iterdir()):
            raise ConfigError("--keep", str(folder), "no demo wrote what is in it; name an empty folder or a new one")
        held = lock(folder)
    except Locked:
        raise ConfigError("--keep", str(folder), "a demo runs in it; stop that one, or name another folder") from None
    except OSError as error:
        raise ConfigError("--keep", str(folder), f"cannot be used: {error.strerror}; name another folder") from error
    for role in ("edge", "relay"):  # the sandbox starts empty, so must the stores
        shutil.rmtree(folder / role, ignore_errors=True)
    return held


def _ports(any_port: bool) -> Mapping[str, int]:
    """The usual ports, or free ones where they are taken."""
    return {name: _free(0 if any_port else port) for name, port in PORTS.items()}


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return _free(0)
        return int(probe.getsockname()[1])


async def _demo(args: argparse.Namespace, place: Place) -> None:
    stop = asyncio.Event()
    stop_on_signals(stop.set)
    write_people(place.folder)
    write_config(place.folder, place.ports)
    children: dict[str, asyncio.subprocess.Process] = {}
    try:
        for name, words in _programs(args, place).items():
            children[name] = await asyncio.create_subprocess_exec(sys.executable, *words, start_new_session=True)
        watch = asyncio.create_task(_watch(children, stop))
        addresses = await _introduce(place, stop)
        if addresses is not None:
            _welcome(place, addresses)
            await _until(stop, place)
        watch.cancel()
    finally:
        await _end(children)


def _programs(args: argparse.Namespace, place: Place) -> dict[str, Sequence[str]]:
    """The processes of the demo, each with its command line."""
    folder, ports, clock = place.folder, {name: str(port) for name, port in place.ports.items()}, str(place.clock)
    parent = ["--die-with-parent", str(os.getpid())]
    agent = ["-m", "agent", "run", "--config", str(place.config), "--demo-clock", clock, *parent]
    agent += ["--log-level", args.log_level]
    static = Path(__file__).parent.parent / "ui" / "static"
    feishu = ["-m", "agent.sandbox", "--port", ports["sandbox"], "--clock-file", clock, "--static", str(static)]
    feishu += ["--app-id", APP_ID, "--app-secret-file", str(folder / "secrets" / "feishu"), *parent]
    plant = ["-m", "agent.sandbox.plant", "--broker-port", ports["broker"], "--plc-port", ports["plc"]]
    plant += ["--secrets", str(folder / "secrets"), "--seed", str(args.seed), "--clock", clock, *parent]
    return {"sandbox": feishu, "plant": plant, "relay": [*agent, "--role", "relay"], "edge": [*agent, "--role", "edge"]}


async def _introduce(place: Place, stop: asyncio.Event) -> dict[str, str] | None:
    """Wait until the edge is ready, enrol a kiosk for each station; None if stopped before."""
    import httpx

    transport = httpx.AsyncHTTPTransport(uds=str(place.folder / "edge.sock"))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=10) as client:
        while not stop.is_set():
            try:
                addresses = {}
                for station in STATIONS:
                    body = {"id": f"{station}-A", "kind": "kiosk", "name": f"{station}-A", "station": station}
                    await client.post(f"/v1/devices/{station}-A/revoke")
                    answer = await client.post("/v1/devices", json=body)
                    token = answer.raise_for_status().json()["token"]
                    addresses[station] = f"http://127.0.0.1:{place.ports['kiosk']}/#token={token}&station={station}"
                return addresses
            except httpx.HTTPError:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.2):
                        await stop.wait()
    return None


def _welcome(place: Place, addresses: Mapping[str, str]) -> None:
    lines = [f"  kiosk {station}   {address}" for station, address in addresses.items()]
    print("\nAndon Gateway demo: a coating line that drifts within half a minute.\n", flush=True)
    print("\n".join(lines))
    print(f"  sandbox       http://127.0.0.1:{place.ports['sandbox']}/   (stands in for Feishu: groups, cards, 快进)")
    print(f"  metrics       http://127.0.0.1:{place.ports['kiosk']}/metrics")
    print(f"  {Path(sys.executable).with_name('andon')} tickets list --config {place.config}")
    print("\nCtrl-C ends it and leaves nothing running.\n", flush=True)


async def _until(stop: asyncio.Event, place: Place) -> None:
    """Tell the sandbox page when the next deadline is, until told to stop."""
    import httpx

    transport = httpx.AsyncHTTPTransport(uds=str(place.folder / "edge.sock"))
    base = f"http://127.0.0.1:{place.ports['sandbox']}/sandbox/api"
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as edge, httpx.AsyncClient() as page:
        while not stop.is_set():
            with contextlib.suppress(httpx.HTTPError):
                tickets = (await edge.get("/v1/tickets", timeout=5)).json()["tickets"]
                now = datetime.fromisoformat((await page.get(f"{base}/state", timeout=5)).json()["now"])
                await page.put(f"{base}/clock/next", json={"at": _next(tickets, now)}, timeout=5)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    await stop.wait()


def _next(tickets: Sequence[Mapping[str, Any]], now: datetime) -> str | None:
    """The next due time of a running deadline."""
    due = [datetime.fromisoformat(cell["due_at"]) for t in tickets for cell in t["strip"] if cell["stopped_at"] is None]
    ahead = [at for at in due if at > now]
    return min(ahead).isoformat() if ahead else None


async def _watch(children: Mapping[str, asyncio.subprocess.Process], stop: asyncio.Event) -> None:
    """A child that ends by itself ends the demo."""
    waits = {asyncio.create_task(child.wait()): name for name, child in children.items()}
    done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        log.error("%s ended with %d", waits[task], task.result())
    stop.set()


async def _end(children: Mapping[str, asyncio.subprocess.Process]) -> None:
    """Ask all to end; kill what has not ended after 10 s."""
    for child in children.values():
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)
    for name, child in children.items():
        try:
            async with asyncio.timeout(10):
                await child.wait()
        except TimeoutError:
            log.error("%s did not end in time", name)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            await child.wait()
