"""The sandbox inside a test or rehearsal: a server in its own thread on a free port, its world at hand."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from agent.sandbox.push.hub import Hub
from agent.sandbox.server import create_app, listen, server_for
from agent.sandbox.world.world import SandboxWorld

T = TypeVar("T")
START_WITHIN_S = 10.0


class LocalSandbox:
    """`with LocalSandbox(world) as sandbox:` — talk to `sandbox.url`; touch the world through `call` and `run`."""

    def __init__(self, world: SandboxWorld, port: int = 0, static_dir: Path | None = None) -> None:
        self.world = world
        self._port, self._static_dir = port, static_dir
        self.url = ""

    def __enter__(self) -> Self:
        app = create_app(self.world, self.world.clock, self._static_dir)
        self.hub: Hub = app.state.stage.hub
        sock = listen("127.0.0.1", self._port)
        self.url = f"http://127.0.0.1:{sock.getsockname()[1]}"
        self._server = server_for(app, "127.0.0.1", self._port)
        self._loop: asyncio.AbstractEventLoop
        begun = threading.Event()

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            begun.set()
            await self._server.serve(sockets=[sock])

        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), name="sandbox", daemon=True)
        self._thread.start()
        if not begun.wait(START_WITHIN_S):
            raise TimeoutError("sandbox did not start")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(START_WITHIN_S)

    def call(self, act: Callable[[], T]) -> T:
        """Run something on the server's loop (the world belongs to it) and hand back its result."""

        async def once() -> T:
            return act()

        return self.run(once())

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float = 30.0) -> T:
        """Run a coroutine on the server's loop and wait for it."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return future.result(timeout_s)
