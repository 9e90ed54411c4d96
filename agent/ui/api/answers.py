"""What the API answers when it says no: {"error": {"key", "args", "text": {"zh", "en"}}}, and strict JSON both ways."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any
from zoneinfo import ZoneInfo

import orjson
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException as StarletteHTTPException

from agent.errors import Refused
from agent.metrics import Metrics
from agent.store.write import StoreFull
from agent.texts import LANGUAGES, render

MAX_DEPTH = 16
RETRY_S = 2


class Problem(HTTPException):
    """A refusal with a status, told by a text key."""

    def __init__(self, status: int, key: str, headers: dict[str, str] | None = None, **args: object) -> None:
        super().__init__(status, detail=key, headers=headers)
        self.key, self.args_ = key, args

    @staticmethod
    def of(error: Refused, status: int) -> Problem:
        """A refusal of the rules with another status than 409."""
        return Problem(status, error.key, None, **error.args_)


def answer(data: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(data), status, headers, media_type="application/json")


def refusal(key: str, args: Mapping[str, object], zone: ZoneInfo) -> dict[str, Any]:
    """The body of an error, in all languages."""
    words = {lang: render({"key": key, "args": args}, lang, zone) for lang in LANGUAGES}
    return {"error": {"key": key, "args": dict(args), "text": words}}


def strict_json(raw: bytes) -> Any:
    """JSON as RFC 8259 has it: UTF-8, no NaN or Infinity, numbers that fit a double, ≤ MAX_DEPTH levels, no NUL.

    Raises Problem (400).
    """
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise Problem(400, "api.json", reason=str(error)[:120]) from error
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return data
    raise Problem(400, "api.json", reason=f"more than {MAX_DEPTH} levels")


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return [*node.keys(), *node.values()]
    if isinstance(node, list):
        return node
    if isinstance(node, str) and "\0" in node:
        raise Problem(400, "api.json", reason="a NUL character")
    return []


class _StrictRequest(Request):
    async def json(self) -> Any:
        return strict_json(await self.body())


class StrictRoute(APIRoute):
    """A route whose JSON bodies are read by `strict_json`."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(_StrictRequest(request.scope, request.receive))

        return strict


def _what_is_wrong(found: Mapping[str, Any]) -> dict[str, str | None]:
    """Field, value and reason of what pydantic found; `<one>` and the like are names of our own shapes, not fields."""
    parts = [str(part) for part in found["loc"]]
    where = ".".join(part for part in parts if part != "body" and not part.startswith("<")) or "body"
    value, reason = found.get("input"), str(found["msg"]).removeprefix("Value error, ")
    reason = re.sub(r"\d{20,}", lambda bound: f"{float(bound[0]):g}", reason)  # pydantic writes 1e150 in full
    if found["type"] == "missing":
        shown = None
    elif isinstance(value, (str, int, float, type(None))):
        shown = orjson.dumps(value if not isinstance(value, str) else value[:60]).decode()
    else:
        shown = "…"
    return {"field": where[:100], "value": shown, "reason": reason[:200]}


def install(app: FastAPI, zone: ZoneInfo, metrics: Metrics | None = None) -> None:
    """Tell every failure in this shape. Refusals are counted in `andon_http_refusals_total` by status."""

    def say(status: int, key: str, args: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Response:
        if metrics is not None:
            metrics.inc("andon_http_refusals_total", status=str(status))
        return answer(refusal(key, args, zone), status, headers)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, StarletteHTTPException)
        if isinstance(error, Problem):
            return say(error.status_code, error.key, error.args_, error.headers)
        key = {404: "api.not_found", 405: "api.method"}.get(error.status_code, "api.http")
        args = {"path": request.url.path[:200], "method": request.method, "status": error.status_code}
        return say(error.status_code, key, args, error.headers)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return say(422, "api.invalid", _what_is_wrong(error.errors()[0]))

    async def on_refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, Refused)
        return say(409, error.key, error.args_)

    async def on_full(request: Request, error: Exception) -> Response:
        return say(503, "api.busy", {"seconds": {"seconds": RETRY_S}}, {"Retry-After": str(RETRY_S)})

    async def on_bug(request: Request, error: Exception) -> Response:
        return say(500, "api.bug", {})

    app.add_exception_handler(StarletteHTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(Refused, on_refused)
    app.add_exception_handler(StoreFull, on_full)
    app.add_exception_handler(Exception, on_bug)
