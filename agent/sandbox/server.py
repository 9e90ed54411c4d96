"""The stand-in as a server: Feishu's interface, the long connection, the control API and the page on one port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.routing import Route, WebSocketRoute

from agent.clock import Clock, SharedClock, SystemClock
from agent.errors import Refused
from agent.lifecycle import supervise
from agent.sandbox.control import api, breaking
from agent.sandbox.control.stage import Stage
from agent.sandbox.feishu.gate import Gate
from agent.sandbox.feishu.routes import ROUTES
from agent.sandbox.guard import Guard
from agent.sandbox.push.hub import Hub
from agent.sandbox.wire import OpenProtocol
from agent.sandbox.world.people import load_directory
from agent.sandbox.world.world import AppSettings, SandboxWorld

ANY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE"]
TZ = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run the sandbox as a process of its own. `clock_file` names a SharedClock; without it, no 快进."""

    host: str = "127.0.0.1"
    port: int = 8899
    people: Path | None = None
    clock_file: Path | None = None
    static_dir: Path | None = None
    tz: str = TZ
    app: AppSettings = field(default_factory=AppSettings)


def create_app(
    world: SandboxWorld, clock: Clock, static_dir: Path | None, tz: str = TZ, hosts: tuple[str, ...] = ()
) -> FastAPI:
    """The whole sandbox over one world, whose own clock `clock` must be. `hosts`: what it is called beside loopback."""
    if clock is not world.clock:
        raise ValueError("clock: the world has another one")
    hub = Hub(world)
    gate = Gate(world, [*ROUTES, hub.route()])
    routes = [
        Route("/open-apis/{path:path}", gate.answer, methods=ANY_METHOD),
        Route("/callback/ws/endpoint", gate.answer, methods=ANY_METHOD),
        WebSocketRoute("/ws/v2", hub.socket),
    ]

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        pusher = asyncio.create_task(supervise("sandbox push", hub.run), name="sandbox push")
        yield
        pusher.cancel()

    app = FastAPI(title="Andon sandbox", routes=routes, lifespan=lifespan, openapi_url=None)
    app.add_middleware(Guard, hosts=hosts)
    for router in (api.router, api.group_router, breaking.router, breaking.clock_router):
        app.include_router(router)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _not_valid)
    if static_dir is not None:
        _pages(app, static_dir)
    app.state.stage = Stage(world, hub, tz)
    return app


def _pages(app: FastAPI, static_dir: Path) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        policy = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'"
        return FileResponse((static_dir / "sandbox").with_suffix(".html"), headers={"Content-Security-Policy": policy})

    app.mount("/assets", StaticFiles(directory=static_dir / "assets", check_dir=False))


async def _refused(_: Request, error: Exception) -> JSONResponse:
    """A refusal as {"error": {key, args}}: 404 for what does not exist, 422 for a wrong request, else 409."""
    if not isinstance(error, Refused):
        raise error
    name = error.key.removeprefix("sandbox.error.")
    status = 404 if name.startswith("no_") else 422 if name in ("required", "bad_request", "bad_fault") else 409
    return JSONResponse({"error": {"key": error.key, "args": error.args_}}, status)


async def _not_valid(_: Request, error: Exception) -> JSONResponse:
    why = "; ".join(f"{'.'.join(map(str, e['loc'][1:]))}: {e['msg']}" for e in getattr(error, "errors", list)())
    return JSONResponse({"error": {"key": "sandbox.error.bad_request", "args": {"why": why}}}, 422)


def server_for(app: FastAPI, host: str, port: int) -> uvicorn.Server:
    """uvicorn as the sandbox needs it: open transports, no websocket pings of its own, quick to stop."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=OpenProtocol,
        ws="websockets-sansio",
        ws_ping_interval=None,
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    return _Parting(config, app.state.stage.world)


class _Parting(uvicorn.Server):  # type: ignore[misc]
    """Ends the pages' streams first; they would be waited for in vain, and reported as errors."""

    def __init__(self, config: uvicorn.Config, world: SandboxWorld) -> None:
        super().__init__(config)
        self._world = world

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._world.bus.close()
        await super().shutdown(sockets)


async def serve(settings: Settings, ready: Callable[[], Awaitable[None]] | None = None) -> None:
    """Run until SIGTERM or SIGINT. `ready` is awaited once the port is bound. Raises ConfigError, OSError."""
    clock: Clock = SharedClock(settings.clock_file) if settings.clock_file else SystemClock()
    world = SandboxWorld(clock, load_directory(settings.people, settings.app.app_id), settings.app)
    app = create_app(world, clock, settings.static_dir, settings.tz, (settings.host,))
    sock = listen(settings.host, settings.port)
    if ready is not None:
        await ready()
    await server_for(app, settings.host, settings.port).serve(sockets=[sock])


def listen(host: str, port: int) -> socket.socket:
    """A bound, listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # named, else asyncio does not set TCP_NODELAY
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port))
    sock.listen(256)
    sock.setblocking(False)
    return sock
