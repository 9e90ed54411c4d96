"""What the API answers when it says no: {"error": {"key", "args", "text": {"zh", "en"}}}, and strict JSON both ways."""

from __future__ import annotations

import json
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
from agent.model import text
from agent.store.write import StoreFull
from agent.texts import LANGUAGES, render

MAX_DEPTH = 16
RETRY_S = 2
SHOWN = 60
"""Characters of a refused value that are told back."""


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
        where = text("api.reason.json", line=error.lineno, column=error.colno)
        raise Problem(400, "api.json", reason=where) from error
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return data
    raise Problem(400, "api.json", reason=text("api.reason.levels", max=MAX_DEPTH))


def _children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return [*node.keys(), *node.values()]
    if isinstance(node, list):
        return node
    if isinstance(node, str) and "\0" in node:
        raise Problem(400, "api.json", reason=text("api.reason.nul"))
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


_REASONS: Mapping[str, str] = {
    "missing": "missing", "extra_forbidden": "unknown", "string_type": "text", "string_sub_type": "text",
    "float_type": "number", "float_parsing": "number", "finite_number": "number", "int_type": "integer",
    "int_parsing": "integer", "int_from_float": "integer", "int_parsing_size": "integer", "list_type": "list",
    "dict_type": "object", "model_type": "object", "model_attributes_type": "object", "timezone_aware": "time",
    "datetime_type": "time", "datetime_parsing": "time", "datetime_from_date_parsing": "time",
    "datetime_object_invalid": "time", "literal_error": "choice", "enum": "choice",
    "string_pattern_mismatch": "pattern", "string_too_long": "longest", "too_long": "longest",
    "string_too_short": "shortest", "too_short": "shortest", "greater_than": "gt", "greater_than_equal": "ge",
    "less_than": "lt", "less_than_equal": "le", "time_form": "time", "time_unset": "unset",
}  # fmt: skip
"""What pydantic and shapes find → `api.reason.*`; anything else is "other"."""


def unfit(error: Mapping[str, Any], body: Any) -> dict[str, Any]:
    """The first thing wrong with a request: the field as the caller wrote it, the value, and what it takes."""
    reason = _REASONS.get(error["type"], "other")
    value = json.dumps(error.get("input"), ensure_ascii=False, default=str)
    args: dict[str, Any] = {
        name: found for name, found in error.get("ctx", {}).items() if isinstance(found, (str, int, float))
    }
    if reason == "choice":
        args["expected"] = re.findall("'([^']*)'", str(args.get("expected"))) or args.get("expected")
    args["value"] = value if len(value) <= SHOWN else value[:SHOWN] + "…"
    return {"field": _field(error, body) or text("api.body"), "reason": text(f"api.reason.{reason}", **args)}


def _field(error: Mapping[str, Any], body: Any) -> str:
    """Its place in the body, e.g. violations[3].rule; parts that name one of our models are not the caller's."""
    source, *place = error["loc"]
    own = error["type"] in ("missing", "extra_forbidden") or source != "body"
    words, node = "", body
    for i, part in enumerate(place):
        within = part in node if isinstance(node, Mapping) else isinstance(node, list) and isinstance(part, int)
        if within:
            node = node[part]
        elif not (own and i == len(place) - 1):
            continue
        words += f"[{part}]" if isinstance(part, int) else f".{part}"
    return words.removeprefix(".")[:100]


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
        return say(422, "api.invalid", unfit(error.errors()[0], error.body))

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
