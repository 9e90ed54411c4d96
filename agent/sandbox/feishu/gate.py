"""The way of a call: office cut, fault, in-flight marks, token, rate limit, handler, lost answer, call log."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from agent.sandbox.feishu.endings import HalfAnswer, bad_gateway, limited, no_answer
from agent.sandbox.feishu.request import Blob, Flat, Req, read_body, read_query
from agent.sandbox.feishu.routes import PREFIX, Route, match
from agent.sandbox.rules.faults import Fault
from agent.sandbox.rules.limits import PER_API
from agent.sandbox.rules.refusal import FeishuError
from agent.sandbox.world.things import Call
from agent.sandbox.world.world import SandboxWorld

IGNORED_AFTER_S = 1.0
"""A call this long after a 429 knew of it; one that was already under way did not."""
BUSY = {"im.chat.create": 232068, "im.chat.members_add": 232019, "im.chat.members_remove": 232019}
"""What a call is told when its twin is still under way; 230049 for messages."""


@dataclass(slots=True)
class Exchange:
    """One call on its way, and the fault that strikes it."""

    request: Request
    route: Route
    req: Req
    call: Call
    started: float
    fault: Fault | None = None

    @property
    def struck(self) -> str | None:
        return self.fault.kind if self.fault else None


class Gate:
    """Answers every call that a client of Feishu makes over HTTP."""

    def __init__(self, world: SandboxWorld, routes: Sequence[Route]) -> None:
        self._world, self._routes = world, routes
        self._busy: set[tuple[str, str]] = set()

    async def answer(self, request: Request) -> Response:
        exchange = await self._open(request)
        office = self._world.office
        if not office.up:
            mode = office.mode
            return await self._silent(exchange, "cut", lambda: mode == "hang" and not self._world.office.up)
        if exchange.route.api == "unknown":
            return self._end(exchange, PlainTextResponse("404 page not found", 404), None)
        exchange.fault = self._world.faults.pick(exchange.route.api)
        return await self._before(exchange)

    async def _open(self, request: Request) -> Exchange:
        path, method = request.url.path, request.method
        route, params = match(self._routes, method, path) or (Route(method, path, "unknown", lambda _: {}), {})
        log_id = f"{self._world.now():%Y%m%d%H%M%S}{secrets.token_hex(9).upper()}"
        query = read_query(request.scope["query_string"])
        kind = request.headers.get("content-type", "")
        host = request.headers.get("host", "")
        req = Req(self._world, params, query, await request.body(), log_id, kind, host)
        short = path.removeprefix(PREFIX).removeprefix("im/v1/").removeprefix("contact/v3/").lstrip("/")
        call = self._world.journal.open_call(method, route.api, short, None, log_id)
        return Exchange(request, route, req, call, asyncio.get_running_loop().time())

    async def _before(self, exchange: Exchange) -> Response:
        """Let a fault strike that comes before the call is processed."""
        fault, api = exchange.fault, exchange.route.api
        kind = exchange.struck
        if fault is None or kind in ("delay", "lose", "truncate", "double"):
            return await self._process(exchange)
        if kind in ("hang", "reset"):
            return await self._silent(exchange, kind, lambda: kind == "hang" and self._lasts(fault))
        if kind == "html":
            return self._end(exchange, bad_gateway(fault.status), None)
        if kind == "limit":
            now = self._world.clock.monotonic()
            self._world.limited_until[api] = (now, now + fault.seconds)
            return self._refuse(exchange, limited(int(fault.seconds)))
        if kind == "token":
            self._world.revoke_tokens()
            return self._refuse(exchange, FeishuError(99991663, status=self._world.app.token_error_status))
        status = fault.status or (200 if exchange.route.open else 400)
        return self._refuse(exchange, FeishuError(fault.code, msg=fault.msg or None, status=status))

    def _lasts(self, fault: Fault) -> bool:
        """A hanging call hangs until its fault is cleared; one of N calls, until its client gives up."""
        return fault.times is not None or fault in self._world.faults.active

    async def _process(self, exchange: Exchange) -> Response:
        """Do what is asked, and answer unless the answer is to be lost."""
        fault = exchange.fault
        try:
            read_body(exchange.req, exchange.request.method)
            exchange.call.uuid = exchange.req.uuid()
            with self._in_flight(exchange):
                pause = fault.seconds if fault and fault.kind == "delay" else self._world.app.latency_s
                if pause:
                    await asyncio.sleep(pause)
                response = self._handle(exchange)
        except FeishuError as error:
            return self._refuse(exchange, error)
        if fault is not None and fault.kind == "lose":
            return await self._silent(exchange, "lose", lambda: fault.mode == "hang" and self._lasts(fault), code=0)
        if exchange.struck == "truncate":
            response = HalfAnswer(response)
        return self._end(exchange, response, 0)

    @contextmanager
    def _in_flight(self, exchange: Exchange) -> Iterator[None]:
        """Refuse what is already under way: the same uuid, another member change of the group."""
        api, uuid, params = exchange.route.api, exchange.call.uuid, exchange.req.params
        mark = ("uuid", uuid) if uuid else (api.partition("_")[0], params.get("chat_id", params.get("message_id", "")))
        if not (uuid or api in BUSY or api == "im.message.patch"):
            mark = ("call", exchange.req.log_id)
        if mark in self._busy:
            if api != "im.message.patch":
                raise FeishuError(BUSY.get(api, 230049))
            self._world.journal.violation("concurrent_patch", message_id=mark[1])
        ours = mark not in self._busy
        self._busy.add(mark)
        try:
            yield
        finally:
            if ours:
                self._busy.discard(mark)

    def _handle(self, exchange: Exchange) -> Response:
        if not exchange.route.open:
            self._check_token(exchange.request)
            self._check_limit(exchange.route.api)
        answer = exchange.route.handler(exchange.req)
        if isinstance(answer, Blob):
            return Response(answer.data, media_type=answer.mime)
        body = answer.body if isinstance(answer, Flat) else {"data": answer}
        return JSONResponse({"code": 0, "msg": "success", **body})

    def _check_token(self, request: Request) -> None:
        status = self._world.app.token_error_status
        value = request.headers.get("authorization", "")
        if not value:
            raise FeishuError(99991661, status=status)
        scheme, _, token = value.partition(" ")
        if scheme != "Bearer" or not token.startswith("t-"):
            raise FeishuError(99991671, status=status)
        if not self._world.token_valid(token):
            raise FeishuError(99991663, status=status)

    def _check_limit(self, api: str) -> None:
        now = self._world.clock.monotonic()
        since, until = self._world.limited_until.get(api, (0.0, 0.0))
        if since <= now < until:
            if now - since > IGNORED_AFTER_S:
                self._world.journal.violation("called_while_limited", api=api)
            raise limited(int(until - now) + 1)
        wait = self._world.limits.take(("api", api), PER_API)
        if wait is not None:
            self._world.limited_until[api] = (now, now + wait)
            raise limited(wait)

    def _refuse(self, exchange: Exchange, error: FeishuError) -> Response:
        if error.final and exchange.fault is None:
            self._world.journal.refused_for_good(exchange.route.api, exchange.call.path, exchange.req.raw, error.code)
        return self._end(
            exchange, JSONResponse(error.body(exchange.req.log_id), error.status, error.headers), error.code
        )

    def _end(self, exchange: Exchange, response: Response, code: int | None) -> Response:
        self._log(exchange, response.status_code, code, exchange.struck)
        response.raw_headers.append((b"X-Tt-Logid", exchange.req.log_id.encode()))
        return response

    async def _silent(
        self, exchange: Exchange, why: str, hang: Callable[[], bool], code: int | None = None
    ) -> Response:
        self._log(exchange, None, code, why)
        return await no_answer(exchange.request, hang)

    def _log(self, exchange: Exchange, status: int | None, code: int | None, fault: str | None) -> None:
        ms = round((asyncio.get_running_loop().time() - exchange.started) * 1000)
        self._world.journal.close_call(exchange.call, status, code, ms, fault)
