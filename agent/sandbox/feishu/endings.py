"""How a call can end other than well: torn, left hanging, cut in half, limited, a gateway's HTML."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import Receive, Scope, Send

from agent.sandbox.rules.refusal import FeishuError
from agent.sandbox.wire import tear, transport_of

HANG_MAX_S = 600.0
_LOOK_EVERY_S = 0.25
_BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"


def limited(seconds: int) -> FeishuError:
    """429: how long to wait stands in a header; there is no Retry-After."""
    headers = {"x-ogw-ratelimit-limit": "50", "x-ogw-ratelimit-reset": str(max(1, seconds))}
    return FeishuError(99991400, status=429, headers=headers)


def bad_gateway(status: int) -> Response:
    """What a proxy says when nobody is behind it; not JSON."""
    return HTMLResponse(_BAD_GATEWAY, status or 502)


async def no_answer(request: Request, hang: Callable[[], bool]) -> Response:
    """Tear the connection, after leaving it hanging until the client goes or `hang` is no longer true."""
    loop = asyncio.get_running_loop()
    until = loop.time() + HANG_MAX_S
    while hang() and loop.time() < until:
        try:
            async with asyncio.timeout(_LOOK_EVERY_S):
                await request.receive()
            break  # after its body the only thing a client still says is that it left
        except TimeoutError:
            continue
    tear(transport_of(request.scope))
    await asyncio.sleep(0)  # the server sees the connection go before an answer is offered
    return Response(status_code=503)


class HalfAnswer(Response):
    """Half of an answer, then the end of the connection."""

    def __init__(self, whole: Response) -> None:
        super().__init__(status_code=whole.status_code, media_type="application/json")
        self._whole = bytes(whole.body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(self._whole)).encode())]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        half = self._whole[: len(self._whole) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
        transport = transport_of(scope)
        if transport is not None:
            transport.close()
        await asyncio.sleep(0)
