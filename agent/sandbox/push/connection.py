"""One long connection: asks and waits for the answer, answers pings, can be frozen or torn."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from datetime import datetime
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

from agent.clock import Clock
from agent.sandbox.push.frames import CONTROL, DATA, Frame, decode, encode
from agent.sandbox.wire import tear, transport_of

ANSWER_WITHIN_S = 3.0
FRAGMENT_MAX = 64 * 1024
"""Longer payloads travel in several frames, joined by the client within 5 s."""


class Connection:
    """A websocket with the agent at its other end."""

    def __init__(self, socket: WebSocket, clock: Clock, service_id: int, config: dict[str, int]) -> None:
        self._socket, self._clock = socket, clock
        self._service, self._config = service_id, config
        self._transport = transport_of(socket.scope)
        self._asked: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self.id = socket.query_params.get("device_id", "")
        self.since = clock.now()
        self.last_ping_at: datetime | None = None
        self.sent = self.answered = 0
        self.frozen = False

    async def serve(self) -> None:
        """Read frames until the connection ends."""
        try:
            while True:
                message = await self._socket.receive()
                if message["type"] == "websocket.disconnect":
                    return
                if not self.frozen and message.get("bytes") is not None:
                    await self._take(message["bytes"])
        except WebSocketDisconnect:
            return
        finally:
            for waiting in self._asked.values():
                waiting.cancel()

    async def _take(self, data: bytes) -> None:
        try:
            frame = decode(data)
        except ValueError:
            tear(self._transport)
            return
        if frame.method == CONTROL and frame.type == "ping":
            self.last_ping_at = self._clock.now()
            pong = Frame(CONTROL, {"type": "pong"}, json.dumps(self._config).encode(), self._service)
            await self._send(pong)
        elif frame.method == DATA:
            waiting = self._asked.get(frame.headers.get("message_id", ""))
            if waiting is not None and not waiting.done():
                self.answered += 1
                waiting.set_result(answer_in(frame.payload))

    async def ask(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Send an event and wait 3 s: {"code": 200, 500 or 0 for unreadable, "data"}, or None for no answer."""
        if self.frozen:
            await asyncio.sleep(ANSWER_WITHIN_S)
            return None
        message_id = secrets.token_hex(16)
        waiting: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._asked[message_id] = waiting
        payload = json.dumps(body, ensure_ascii=False).encode()
        pieces = [payload[at : at + FRAGMENT_MAX] for at in range(0, len(payload), FRAGMENT_MAX)]
        try:
            for seq, piece in enumerate(pieces):
                headers = {
                    "type": "event",
                    "message_id": message_id,
                    "sum": str(len(pieces)),
                    "seq": str(seq),
                    "trace_id": secrets.token_hex(16),
                }
                await self._send(Frame(DATA, headers, piece, self._service))
            self.sent += 1
            async with asyncio.timeout(ANSWER_WITHIN_S):
                return await waiting
        except (TimeoutError, asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
            # cancelled: by `serve` when the connection ended, unless this task itself is to end
            # RuntimeError: starlette's word for a socket that closed between choosing and sending
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
            return None
        finally:
            del self._asked[message_id]

    async def _send(self, frame: Frame) -> None:
        await self._socket.send_bytes(encode(frame))

    def freeze(self) -> None:
        """Half-open: the connection stays, but nothing is read or sent any more, not even websocket pongs."""
        self.frozen = True
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def thaw(self) -> None:
        if self.frozen and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()
        self.frozen = False

    def drop(self) -> None:
        """Torn without a closing handshake."""
        tear(self._transport)


def answer_in(payload: bytes) -> dict[str, Any]:
    """The client's answer: {"code", "data"?: base64 of JSON} unpacked; code 0 when it cannot be read."""
    try:
        answer = json.loads(payload)
        data = answer.get("data")
        return {"code": int(answer["code"]), "data": json.loads(base64.b64decode(data)) if data else None}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {"code": 0, "data": None}
