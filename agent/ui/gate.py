"""The gate before every route: which hosts and origins are answered, how large a body may be, which headers go out.

Host allow-list against DNS rebinding, Origin and Sec-Fetch-Site against other sites, sizes before anything is read
(ASVS 5.0: 3.4, 3.5, 5.2). A body is counted while it comes in, so a missing or lying Content-Length gains nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from zoneinfo import ZoneInfo

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agent.ui.api.answers import Problem, answer, refusal

JSON_MAX = 64 << 10
LIST_MAX = 256 << 10
BLOB_MAX = 4 << 20
LIMITS: Mapping[str, int] = {"/api/v1/blobs/": BLOB_MAX, "/api/v1/violations": LIST_MAX}
"""By beginning of the path; all others take JSON_MAX. 500 violations do not fit into 64 KiB."""

CSP = (
    "default-src 'self'; img-src 'self' data: blob:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


class Gate:
    """ASGI middleware. `hosts` are the names answered, without ports; None answers any (a Unix socket has no name)."""

    def __init__(self, app: ASGIApp, zone: ZoneInfo, hosts: Collection[str] | None = None) -> None:
        self._app, self._zone = app, zone
        self._hosts = None if hosts is None else frozenset(host.lower().strip("[]") for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        guarded = _guarded(send, scope["path"])
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers[name.decode("latin-1")] = value.decode("latin-1")
        limit = limit_of(scope["path"])
        try:
            self._check(scope["method"], headers, limit)
        except Problem as problem:
            said = answer(refusal(problem.key, problem.args_, self._zone), problem.status_code)
            await said(scope, receive, guarded)
            return
        await self._app(scope, _counted(receive, limit), guarded)

    def _check(self, method: str, headers: Mapping[str, str], limit: int) -> None:
        """Raises Problem: 421, 403, 413, 415."""
        host = headers.get("host", "").lower()
        if self._hosts is not None and name_of(host) not in self._hosts:
            raise Problem(421, "api.host", host=host[:100])
        origin = headers.get("origin")
        foreign = origin is not None and origin.lower().partition("://")[2] != host
        site = headers.get("sec-fetch-site", "none")
        if foreign or (method in _WRITES and site not in ("same-origin", "none")):
            raise Problem(403, "api.origin")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > limit:
            raise Problem(413, "api.too_large", max=limit)
        has_body = length != "0" or "transfer-encoding" in headers
        kind = headers.get("content-type", "").partition(";")[0].strip().lower()
        if has_body and (headers.get("content-encoding") or (method != "PUT" and kind != "application/json")):
            raise Problem(415, "api.media")


def name_of(host: str) -> str:
    """The name in a Host header, without port and brackets (RFC 3986, 3.2.2)."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def limit_of(path: str) -> int:
    """How many bytes a body for this path may have."""
    return next((limit for begin, limit in LIMITS.items() if path.startswith(begin)), JSON_MAX)


def _counted(receive: Receive, limit: int) -> Receive:
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > limit:
            raise Problem(413, "api.too_large", max=limit)
        return message

    return counted


def _guarded(send: Send, path: str) -> Send:
    more = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    cached = [(b"cache-control", b"no-store")] if path.startswith("/api/") else []

    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", ()))
            named = {name.lower() for name, _ in own}
            message["headers"] = own + [pair for pair in more + cached if pair[0] not in named]
        await send(message)

    return guarded
