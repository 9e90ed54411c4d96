"""Only this machine: requests for another host name are refused, and pages of other origins cannot act."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
CONTROL = "/sandbox/"


class Guard:
    """Checks Host (DNS rebinding), and for the control API also Origin and the type of bodies (cross-site posts)."""

    def __init__(self, app: ASGIApp, hosts: tuple[str, ...] = ()) -> None:
        self._app, self._hosts = app, LOOPBACK | set(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope) if scope["type"] in ("http", "websocket") else None
        if refusal is None:
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await refusal(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if _host(headers.get("host", "")) not in self._hosts:
            return PlainTextResponse("unknown host", 421)
        if scope["type"] != "http" or not scope["path"].startswith(CONTROL):
            return None
        origin = headers.get("origin")
        if origin is not None and _host(urlsplit(origin).netloc) not in self._hosts:
            return JSONResponse({"error": {"key": "sandbox.error.foreign", "args": {}}}, 403)
        body = int(headers.get("content-length", "0") or 0) > 0 or "transfer-encoding" in headers
        if body and not headers.get("content-type", "").startswith("application/json"):
            return JSONResponse({"error": {"key": "sandbox.error.foreign", "args": {}}}, 415)
        return None


def _host(value: str) -> str:
    """The name without its port; IPv6 without brackets."""
    return (urlsplit(f"//{value}").hostname or "") if value else ""
