"""The kiosk's application and the server that runs it inside our own loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.errors import ConfigError
from agent.ui.api import kiosk, measures, photos, tickets
from agent.ui.api.answers import install
from agent.ui.feed import Feed
from agent.ui.gate import Gate
from agent.ui.health import edge_figures, health_router
from agent.ui.hub import Hub
from agent.ui.page import add_page
from agent.ui.parts import EdgeParts

log = logging.getLogger(__name__)
GRACE_S = 2
"""For what is under way when the server stops; without a limit one open stream holds it for ever."""
LOOK_S = 5
"""Between two looks whether a Unix socket is still there."""
MAX_CONNECTIONS = 1000


def build_app(parts: EdgeParts) -> FastAPI:
    """The kiosk page, its API and stream, health and metrics. Nothing runs until a Server serves it."""
    app = FastAPI(title="Andon Gateway edge", version=parts.version, openapi_url="/api/openapi.json", docs_url=None,
                  redoc_url=None)  # fmt: skip
    hub = Hub()
    app.state.parts, app.state.hub = parts, hub
    app.state.jobs, app.state.endings = [Feed(parts, hub).run], [hub.close]
    for router in (kiosk.router, tickets.router, measures.router, photos.router):
        app.include_router(router)
    app.include_router(health_router(parts.store, parts.ready, edge_figures(parts, hub)))
    add_page(app, parts.static_dir)
    parts.metrics.declare("andon_http_refusals_total", "counter", "requests refused, by status")
    install(app, parts.site.zone, parts.metrics)
    app.add_middleware(Gate, zone=parts.site.zone, hosts=parts.edge.allowed_hosts)
    return app


class Server:
    """Serves an app on a TCP port or a Unix socket. `app.state.jobs` run beside it, `app.state.endings` end streams."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self._jobs: Sequence[Callable[[], Awaitable[None]]] = getattr(app.state, "jobs", ())
        self._endings: Sequence[Callable[[], None]] = getattr(app.state, "endings", ())
        self.ready = asyncio.Event()
        """Set once requests are answered."""
        self.port = 0

    async def serve(
        self, *, host: str = "127.0.0.1", port: int = 0, uds: Path | None = None, sock_mode: int = 0o660,
        setting: str = "socket",
    ) -> None:  # fmt: skip
        """Until cancelled; then streams end, requests under way get GRACE_S. Raises ConfigError if it cannot listen:
        it names `setting`, the path of the socket or the table that has host and port.

        A Unix socket that somebody removed, or put another in its place, is made anew: nobody could come in any more.
        """
        if uds is None:
            sock = _tcp(host, port, setting)
            self.port = sock.getsockname()[1]
            await self._serve(sock)
            return
        while True:
            sock = _unix(uds, sock_mode, setting)
            made = _inode(uds)
            serving = asyncio.ensure_future(self._serve(sock))
            try:
                while not serving.done() and _inode(uds) == made:
                    await asyncio.wait({serving}, timeout=LOOK_S)
                if serving.done():
                    return serving.result()
                log.warning("%s is gone: listening anew", uds.name)
            finally:
                serving.cancel()
                await asyncio.wait({serving})
                if _inode(uds) == made:
                    uds.unlink()

    async def _serve(self, sock: socket.socket) -> None:
        with contextlib.closing(sock):
            async with asyncio.TaskGroup() as group:
                jobs = [group.create_task(_run(job), name=f"server-job-{i}") for i, job in enumerate(self._jobs)]
                try:
                    await self._answer(sock)
                finally:
                    for job in jobs:
                        job.cancel()

    async def _answer(self, sock: socket.socket) -> None:
        server = _Quiet(
            uvicorn.Config(
                _Parting(self._app), log_config=None, log_level="warning", access_log=False, server_header=False,
                proxy_headers=False, ws="none", timeout_keep_alive=20, timeout_graceful_shutdown=GRACE_S,
                limit_concurrency=MAX_CONNECTIONS, h11_max_incomplete_event_size=32 << 10,
            ),
            self.ready,
        )  # fmt: skip
        serving = asyncio.ensure_future(server.serve(sockets=[sock]))
        try:
            await asyncio.shield(serving)
        finally:
            for end in self._endings:
                end()
            server.should_exit = True
            await asyncio.wait({serving}, timeout=GRACE_S + 1)
            serving.cancel()


class _Quiet(uvicorn.Server):  # type: ignore[misc]
    """Leaves signals alone (the process has its own handlers) and says when it answers."""

    def __init__(self, config: uvicorn.Config, ready: asyncio.Event) -> None:
        super().__init__(config)
        self._is_ready = ready

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._is_ready.set()


class _Parting:
    """Tells those whom the end of the grace cuts off that they should ask again; what they sent may have been done."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except asyncio.CancelledError:  # uvicorn cancels only then, and reports it as a bug
            if scope["type"] == "http" and not begun:
                await Response(status_code=503, headers={"Retry-After": "2"})(scope, receive, send)


async def _run(job: Callable[[], Awaitable[None]]) -> None:
    await job()


def _tcp(host: str, port: int, table: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sets TCP_NODELAY only on sockets made with this protocol; without it an answer may wait 40 ms
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(512)
        return sock
    except (OSError, OverflowError) as error:
        sock.close()
        if isinstance(error, OSError) and (isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL):
            hint = f'cannot listen there: {error.strerror}; take an address of this machine, or "0.0.0.0" for all'
            raise ConfigError(f"{table}.host", host, hint) from error
        why = getattr(error, "strerror", None) or error
        hint = f"cannot listen there ({host}): {why}; stop what has it, or take another port, from 1024 on"
        raise ConfigError(f"{table}.port", port, hint) from error


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


_REMEDIES = {
    errno.ENOENT: "mkdir -p {folder}, or name a socket in a folder that is there (units of systemd make theirs)",
    errno.EACCES: "let this user write in {folder}, or name a socket elsewhere",
    errno.EADDRINUSE: "a file that is no socket is in its place; remove it, or name another",
}


def _unix(path: Path, mode: int, setting: str) -> socket.socket:
    """A listening Unix socket. Its mode is set before it listens, so nobody else gets in first."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket():  # left by a process that was killed; the lock of the data folder says it is ours
            path.unlink()
        sock.bind(str(path))
        path.chmod(mode)
        sock.listen(64)
    except OSError as error:
        sock.close()
        remedy = _REMEDIES.get(error.errno or 0, "name a socket elsewhere").format(folder=path.parent)
        raise ConfigError(setting, str(path), f"cannot listen there: {error.strerror or error}; {remedy}") from error
    return sock
