"""How tasks live and processes start and stop: supervise(), signals, sd_notify."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import random
import signal
import socket
from collections.abc import Awaitable, Callable

from agent.errors import AgentError

log = logging.getLogger(__name__)


async def supervise(
    name: str,
    run: Callable[[], Awaitable[None]],
    *,
    first_s: float = 0.5,
    cap_s: float = 30.0,
    on_failure: Callable[[str], None] = lambda reason: None,
) -> None:
    """Run a collector-like task for ever: restart it after a failure, with clamped, jittered, growing pauses.

    A failure is logged the first time and whenever its reason changes; `on_failure` sees each.
    """
    pause, last = first_s, ""
    loop = asyncio.get_running_loop()
    while True:
        started = loop.time()
        try:
            await run()
            reason = "ended"
        except Exception as error:  # the one place where a collector's bug must not end the process
            reason = f"{type(error).__name__}: {error}"
            if reason != last:
                log.warning("%s failed: %s", name, reason, exc_info=not isinstance(error, (AgentError, OSError)))
        on_failure(reason)
        if loop.time() - started > cap_s:
            pause, last = first_s, ""
        last = reason
        await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311  (jitter, not a secret)
        pause = min(cap_s, pause * 2)


def stop_on_signals(stop: Callable[[], None]) -> None:
    """Call `stop` on SIGTERM, SIGINT, or SIGHUP (a terminal was closed; not under nohup) of the running loop."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, stop)


def notify(state: str) -> None:
    """Tell systemd a state ("READY=1", "WATCHDOG=1", "STATUS=…"); does nothing outside a unit (sd_notify(3))."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        try:
            sock.sendto(state.encode(), address)
        except OSError as error:
            log.warning("sd_notify failed: %s", error)


def watchdog_period_s() -> float | None:
    """Half of WatchdogSec, or None when systemd does not watch this process (sd_watchdog_enabled(3))."""
    usec = os.environ.get("WATCHDOG_USEC")
    if not usec or os.environ.get("WATCHDOG_PID") not in (None, str(os.getpid())):
        return None
    return int(usec) / 2e6


def die_with_parent(parent: int | None = None) -> None:
    """Ask Linux to send SIGTERM to this process when its parent ends, however it ends (prctl(2), PR_SET_PDEATHSIG).

    A `parent` (its pid) that has ended already would never be noticed: SIGTERM at once.
    """
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if parent is not None and os.getppid() != parent:
        signal.raise_signal(signal.SIGTERM)
