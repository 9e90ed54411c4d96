"""`andon run`: the agent itself, one role or both. Both: the edge here, the relay a supervised child."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
from pathlib import Path

from agent.clock import Clock, SharedClock, SystemClock
from agent.config import read_config
from agent.errors import ConfigError
from agent.lifecycle import die_with_parent, stop_on_signals

log = logging.getLogger(__name__)
DEFAULT = Path("/etc/andon/agent.toml")


def add_parser(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command."""
    parser = verbs.add_parser("run", help="run the agent")
    parser.add_argument("--role", choices=("edge", "relay", "both"), default="both", help="default: both on this host")
    parser.add_argument("--config", type=Path, default=DEFAULT, help=f"the TOML file (default {DEFAULT})")
    parser.add_argument("--demo-clock", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--die-with-parent", type=int, metavar="PID", help=argparse.SUPPRESS)
    parser.add_argument("--log-level", default="INFO", choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run until told to stop by a signal. Raises ConfigError."""
    start_logging(args.log_level)
    if args.die_with_parent is not None:
        die_with_parent(args.die_with_parent)
    clock: Clock = SharedClock(args.demo_clock) if args.demo_clock else SystemClock()
    try:
        asyncio.run(_run(args, clock))
    except BaseExceptionGroup as group:
        found, others = group.split(ConfigError)
        if found is not None and others is None:
            raise _first(found) from group
        raise
    return 0


async def _run(args: argparse.Namespace, clock: Clock) -> None:
    from agent.app import build_edge, build_relay

    config = read_config(args.config)
    stop = asyncio.Event()
    stop_on_signals(stop.set)
    if args.role == "relay":
        await build_relay(config, clock).run(stop)
        return
    edge = build_edge(config, clock)
    if args.role == "edge":
        await edge.run(stop)
        return
    child = asyncio.create_task(_keep_relay(args, stop), name="relay")
    try:
        await edge.run(stop)
    finally:
        stop.set()
        await child


async def _keep_relay(args: argparse.Namespace, stop: asyncio.Event) -> None:
    """Run the relay as a child; start it anew when it ends, until told to stop or its configuration is wrong."""
    words = ["-m", "agent", "run", "--role", "relay", "--config", str(args.config), "--log-level", args.log_level,
             "--die-with-parent", str(os.getpid())]  # fmt: skip
    if args.demo_clock:
        words += ["--demo-clock", str(args.demo_clock)]
    pause = 1.0
    while not stop.is_set():
        child = await asyncio.create_subprocess_exec(sys.executable, *words)
        ended = asyncio.create_task(child.wait())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({ended, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if stop.is_set():
            with contextlib.suppress(ProcessLookupError):
                child.send_signal(signal.SIGTERM)
            await ended
            return
        code = ended.result()
        if code == 78:
            log.error("relay: its configuration is wrong; running without it")
            return
        log.error("relay ended with %d; starting it again in %.0f s", code, pause)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await stop.wait()
        pause = min(30.0, pause * 2)


def _first(group: BaseExceptionGroup[ConfigError]) -> ConfigError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ConfigError)
    return error


def start_logging(level: str) -> None:
    """One line an event on standard error; journald adds the time."""
    form = "%(levelname)s %(name)s: %(message)s"
    if sys.stderr.isatty():
        form = "%(asctime)s " + form
    logging.basicConfig(level=level, format=form, stream=sys.stderr)
    for noisy in ("httpx", "httpcore", "uvicorn.error", "pymodbus", "alembic", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
