"""One long connection: lark's client with the parts replaced that hang or die silently.

Kept of lark 1.7.5 (pinned): protocol, fragments, ping frames, log. Replaced: the endpoint POST (had no time-out), the
reconnecting (ended for good on some codes; here each connection is a new object, made by the supervisor), the module's
global loop, and the handling of pushes (ran on the loop, and dropped frames of type card).
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlparse

import requests
import websockets

from agent.sinks.feishu.lark import quiet_lark, ws
from agent.sinks.feishu.retry import clean
from agent.sinks.feishu.settings import FeishuSettings

Answer = Callable[[bytes, str], Awaitable[tuple[int, "dict[str, Any] | None"]]]
"""(payload, frame's message id) → (status, body). Must answer within 3 s."""
_PUSHES = ("event", "card")
_AT_ONCE = 256
"""Pushes under way; more wait in the socket."""


class Ended(Exception):
    """The connection could not be made, or is no more. The text says why, without addresses."""


class Connection(ws.Client):  # type: ignore[misc]
    """Make it inside the running loop that shall serve it. `heard` counts frames of any kind."""

    def __init__(self, settings: FeishuSettings, secret: str, answer: Answer, heard: Callable[[], None]) -> None:
        super().__init__(
            settings.app_id, secret, log_level=ws.LogLevel.WARNING, domain=settings.base_url, auto_reconnect=False
        )
        quiet_lark()
        self._settings, self._answer, self._heard = settings, answer, heard
        self._ping_interval = settings.ping_s
        self._tasks: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def serve(self) -> None:
        """Connect, and serve until the connection ends. Raises Ended, always."""
        try:
            url = self._get_conn_url()
            query = parse_qs(urlparse(url).query)
            self._service, self._conn_id = int(query[ws.SERVICE_ID][0]), query[ws.DEVICE_ID][0]
            wait = self._settings.timeout_s
            async with websockets.connect(url, open_timeout=wait, close_timeout=0.5, proxy=None) as conn:
                self._conn = conn
                self._heard()
                ping = asyncio.create_task(self._ping_loop(), name="feishu-ping")
                try:
                    await self._receive(conn)
                finally:
                    ping.cancel()
        except (KeyError, IndexError, ValueError):
            raise Ended("the endpoint's answer has no usable address") from None
        except (OSError, TimeoutError, websockets.WebSocketException, requests.RequestException) as error:
            raise Ended(_why(error)) from None
        finally:
            if self._conn is not None:
                # Debian 12's Python 3.11.2 lets a cancelled task out of its close early, with the socket still open.
                self._conn.transport.abort()
            self._conn = None  # type: ignore[assignment]

    async def _ping_loop(self) -> None:
        frame = ws._new_ping_frame(self._service).SerializeToString()
        with contextlib.suppress(websockets.WebSocketException, OSError):  # the receiving side ends the connection
            while True:
                await self._write_message(frame)
                await asyncio.sleep(self._ping_interval)

    async def _receive(self, conn: websockets.ClientConnection) -> None:
        """Take frames; each is handled in a task of its own, so a slow one never holds up pings and others."""
        while True:
            data = await conn.recv()
            self._heard()
            await self._room.acquire()
            task = asyncio.create_task(self._handle_message(data if isinstance(data, bytes) else data.encode()))
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._room.release()

    def _get_conn_url(self) -> str:
        """Ask the endpoint for this connection's address (blocks; nothing else runs on the loop yet). Raises Ended."""
        response = requests.post(
            self._settings.base_url + ws.GEN_ENDPOINT_URI,
            headers={"locale": "zh", "User-Agent": self._user_agent},
            json={"AppID": self._app_id, "AppSecret": self._app_secret},
            timeout=self._settings.timeout_s,
        )
        try:
            body = json.loads(response.content)
            code, data = body["code"], body.get("data") or {}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise Ended(f"the endpoint answered HTTP {response.status_code}, nothing of Feishu's") from None
        if response.status_code != 200 or code != 0:
            raise Ended(f"the endpoint answered code {code}: {clean(body.get('msg', ''))}")
        if isinstance(data.get("ClientConfig"), dict):
            self._configure(ws.ClientConfig(data["ClientConfig"]))
        return str(data.get("URL", ""))

    def _configure(self, conf: Any) -> None:
        """Of the server's wishes only a shorter ping interval counts: its 120 s would show a dead link too late."""
        asked = conf.PingInterval
        usable = isinstance(asked, (int, float)) and asked > 0
        self._ping_interval = min(asked, self._settings.ping_s) if usable else self._settings.ping_s

    async def _handle_data_frame(self, frame: Any) -> None:
        """Answer one push. Frames of type card are treated as events: reports disagree on which ones clicks use."""
        headers = {header.key: header.value for header in frame.headers}
        payload, total, push_id = frame.payload, int(headers.get("sum") or 1), headers.get("message_id", "")
        if total > 1:
            payload = self._combine(push_id, total, int(headers.get("seq") or 0), payload)
        if payload is None or headers.get("type") not in _PUSHES:
            return
        loop = asyncio.get_running_loop()
        started = loop.time()
        status, body = await self._answer(payload, push_id)
        took = frame.headers.add()
        took.key, took.value = ws.HEADER_BIZ_RT, str(round((loop.time() - started) * 1000))
        answer: dict[str, Any] = {"code": status}
        if body is not None:
            answer["data"] = base64.b64encode(json.dumps(body, ensure_ascii=False).encode()).decode()
        frame.payload = json.dumps(answer).encode()
        await self._write_message(frame.SerializeToString())


def _why(error: Exception) -> str:
    return f"{type(error).__name__}" + (f": {clean(error)}" if isinstance(error, websockets.WebSocketException) else "")
