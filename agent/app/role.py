"""What both roles have in common: a folder, a store, tasks, and how they start and stop."""

from __future__ import annotations

import asyncio
import fcntl
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TextIO

from sqlalchemy import Connection

from agent import __version__
from agent.blobs import Blobs
from agent.clock import Clock
from agent.config import Config
from agent.errors import ConfigError
from agent.lifecycle import notify
from agent.metrics import Metrics
from agent.outbox.queue import balance, void_leases
from agent.store.facts import epoch
from agent.store.schema import upgrade
from agent.store.write import Store

log = logging.getLogger(__name__)


class Locked(ConfigError):
    """Another process has this store open."""


def lock(folder: Path, field: str = "data_dir") -> TextIO:
    """Take the folder for this process (one writer per store file).

    Raises ConfigError, which names `field`, if it cannot be used, Locked if another process has it.
    """
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        file = (folder / "lock").open("a+")
    except OSError as error:
        hint = "let this user write there, or name another folder"
        raise ConfigError(field, str(folder), f"cannot be used: {error.strerror}; {hint}") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise Locked(field, str(folder), "another andon process has it open; stop that one first") from error
    return file


class Role(ABC):
    """What edge and relay have in common: a folder, a store, tasks, and how they start and stop."""

    name = ""

    def __init__(self, config: Config, clock: Clock, folder: Path) -> None:
        self.config, self.clock, self.folder = config, clock, folder
        self.store = Store(folder / f"{self.name}.db")
        self.blobs = Blobs(folder / "blobs")
        self.metrics = Metrics()
        self.not_ready: str | None = "starting"
        self._on_topic: list[tuple[str, Callable[[frozenset[str]], None]]] = []

    @abstractmethod
    async def start(self) -> None:
        """Load what the store holds. Called with the store open."""

    @abstractmethod
    def tasks(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """The core tasks: a failure of one ends the process, and systemd starts it anew."""

    def ready(self) -> str | None:
        """None when ready, else the reason why not."""
        return self.not_ready

    def on_topic(self, prefix: str, wake: Callable[[frozenset[str]], None]) -> None:
        """Call `wake(topics)` on the loop after commits that announced a topic with this prefix."""
        self._on_topic.append((prefix, wake))

    async def run(self, stop: asyncio.Event) -> None:
        """Open, start, run until `stop` is set; the store is closed last."""
        held = lock(self.folder, f"{self.name}.data_dir")
        await asyncio.to_thread(upgrade, self.store.path)
        self.store.open()
        loop = asyncio.get_running_loop()
        self.store.on_commit(partial(self._heard, loop))
        try:
            await self.store.write(self._recover)
            await self.start()
            async with asyncio.TaskGroup() as group:
                running = [group.create_task(_run(job), name=name) for name, job in self.tasks().items()]
                for _ in range(3):  # the first step of each: what is to listen listens now, or has failed and ends us
                    await asyncio.sleep(0)
                self.not_ready = None
                notify(f"READY=1\nSTATUS={self.name} {__version__} is running")
                log.info("%s ready", self.name)
                await stop.wait()
                notify("STOPPING=1")
                for task in running:
                    task.cancel()
        finally:
            await asyncio.to_thread(self.store.close)
            held.close()

    def _heard(self, loop: asyncio.AbstractEventLoop, topics: frozenset[str]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._dispatch, topics)

    def _dispatch(self, topics: frozenset[str]) -> None:
        for prefix, wake in self._on_topic:
            if any(topic.startswith(prefix) for topic in topics):
                wake(topics)

    def _recover(self, conn: Connection) -> None:
        """Leases of a dead process are void; conservation must hold."""
        epoch(conn)
        void_leases(conn)
        found = balance(conn)
        if found["missing"]:
            log.critical("outbox: %d items are missing: %s", found["missing"], found)


async def _run(job: Callable[[], Awaitable[None]]) -> None:
    await job()
