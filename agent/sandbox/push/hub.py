"""All long connections of the app: hands out endpoints, pushes events until answered, asks one connection per click."""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import Any

from starlette.responses import Response
from starlette.websockets import WebSocket

from agent.sandbox.feishu.request import Answer, Req
from agent.sandbox.feishu.routes import Route
from agent.sandbox.push.connection import Connection
from agent.sandbox.push.queue import Push
from agent.sandbox.rules.refusal import FeishuError
from agent.sandbox.wire import tear, transport_of
from agent.sandbox.world.world import SandboxWorld

CONNECTIONS_MAX = 50
SERVICE_ID = 33554678
TICK_S = 0.1
WRONG_CREDENTIALS, TOO_MANY, FORBIDDEN, AUTH_FAILED = 1000040344, 1000040350, 403, 514
"""Codes that the client tells apart (lark-oapi 1.7.5, ws/const.py)."""


class Hub:
    """Belongs to the server's loop."""

    def __init__(self, world: SandboxWorld) -> None:
        self._world = world
        self._config = dict(world.app.client_config)
        self.connections: dict[str, Connection] = {}
        self._invited: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # getting connected --------------------------------------------------------------------------------------------

    def endpoint(self, req: Req) -> Answer:
        """POST /callback/ws/endpoint {AppID, AppSecret} → where to connect. A refusal is HTTP 200 with a code."""
        app = self._world.app
        if (req.body.get("AppID"), req.body.get("AppSecret")) != (app.app_id, app.app_secret):
            raise FeishuError(WRONG_CREDENTIALS, msg="app_id or app_secret is invalid", status=200)
        if len(self.connections) >= CONNECTIONS_MAX:
            raise FeishuError(TOO_MANY, msg="the number of connections exceeded the limit", status=200)
        device = secrets.token_hex(8)
        self._invited[device] = None
        if len(self._invited) > CONNECTIONS_MAX * 4:
            self._invited.pop(next(iter(self._invited)))
        url = f"ws://{req.host}/ws/v2?device_id={device}&service_id={SERVICE_ID}"
        return {"URL": url, "ClientConfig": self._config}

    def route(self) -> Route:
        return Route("POST", "/callback/ws/endpoint", "ws.endpoint", self.endpoint, open=True)

    async def socket(self, websocket: WebSocket) -> None:
        """GET /ws/v2: one connection until it ends."""
        if not self._world.office.up:
            tear(transport_of(websocket.scope))
            return
        fault = self._world.faults.pick("ws.handshake")
        if fault is not None:
            await self._refuse(websocket, fault.code or FORBIDDEN, fault.msg or "refused", fault.status)
            return
        device = websocket.query_params.get("device_id", "")
        if device not in self._invited:
            await self._refuse(websocket, AUTH_FAILED, "unknown device", 0)
            return
        del self._invited[device]
        await websocket.accept()
        connection = Connection(websocket, self._world.clock, SERVICE_ID, self._config)
        self.connections[connection.id] = connection
        self._changed()
        try:
            await connection.serve()
        finally:
            self.connections.pop(connection.id, None)
            self._changed()

    async def _refuse(self, websocket: WebSocket, code: int, msg: str, auth: int) -> None:
        headers = {"handshake-status": str(code), "handshake-msg": msg, "handshake-autherrcode": str(auth)}
        await websocket.send_denial_response(Response(status_code=FORBIDDEN, headers=headers))

    def _changed(self) -> None:
        self._world.bus.publish("connections", "")

    # pushing ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Push what is due, and freeze connections that a fault wants frozen, for as long as the server runs."""
        while True:
            await asyncio.sleep(TICK_S)
            if self.connections and self._world.faults.pick("ws.ping") is not None:
                self.freeze()
            for push in self._world.pushes.due():
                task = asyncio.create_task(self._push(push), name=f"push {push.event_type}")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    async def _push(self, push: Push) -> None:
        fault = self._world.faults.pick("ws.event")
        copies = 2 if fault is not None and fault.kind == "double" else push.copies
        answers = [await self._ask(push.body) for _ in range(copies)]
        self._world.pushes.settle(push, all(answer is not None and answer["code"] == 200 for answer in answers))
        self._world.bus.publish("counters", "")
        self._changed()

    async def ask_one(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Ask one random connection (a card click): its answer, or None for none in 3 s. Check `connections` first."""
        answer = await self._ask(body)
        self._changed()
        return answer

    async def _ask(self, body: dict[str, Any]) -> dict[str, Any] | None:
        if not self._world.office.up or not self.connections:
            return None
        chosen = random.choice(list(self.connections.values()))  # noqa: S311  (which connection, not a secret)
        return await chosen.ask(body)

    # breaking -----------------------------------------------------------------------------------------------------

    def drop(self, id_: str | None = None) -> int:
        """Tear one connection or all; how many."""
        chosen = [c for c in self.connections.values() if id_ is None or c.id == id_]
        for connection in chosen:
            connection.drop()
        return len(chosen)

    def freeze(self) -> None:
        for connection in self.connections.values():
            connection.freeze()

    def thaw(self) -> None:
        for connection in self.connections.values():
            connection.thaw()
