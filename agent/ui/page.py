"""The built page as files: names with a hash are kept for ever, all others are asked for each time."""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from agent.texts import LANGUAGES, table
from agent.ui.api.answers import Problem

FOREVER = "public, max-age=31536000, immutable"


class Page(StaticFiles):
    """The files below a folder; /assets is immutable, the rest no-cache (a kiosk must find its new version)."""

    def file_response(
        self, full_path: str | os.PathLike[str], stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file, or the .gz beside it if the browser takes that."""
        path, encoding = Path(full_path), None
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        packed = path.with_name(path.name + ".gz")
        if "gzip" in Headers(scope=scope).get("accept-encoding", "") and packed.is_file():
            path, stat_result, encoding = packed, packed.stat(), "gzip"
        response = super().file_response(path, stat_result, scope, status_code)
        response.headers["cache-control"] = FOREVER if scope["path"].startswith("/assets/") else "no-cache"
        response.headers["vary"] = "accept-encoding"
        if response.status_code != 304:
            response.headers["content-type"] = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
        if encoding is not None:
            response.headers["content-encoding"] = encoding
        return response


def add_page(app: FastAPI, folder: Path | None) -> None:
    """Serve the page behind all routes; /api never falls into it. Without a page, say how to build it."""

    methods = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
    known = list(app.routes)

    def taken(scope: Scope, method: str) -> bool:
        asked = {**scope, "method": method}
        return any(route.matches(asked)[0] is Match.FULL for route in known)

    async def no_such_route(request: Request) -> Response:
        path = request.url.path[:200]
        if allow := [method for method in methods if taken(request.scope, method)]:
            raise Problem(405, "api.method", {"Allow": ", ".join(allow)}, path=path, method=request.method)
        raise Problem(404, "api.not_found", path=path)

    async def no_page(request: Request) -> Response:
        words = "\n".join(table(lang)["api.page_missing"] for lang in LANGUAGES)
        return PlainTextResponse(words + "\n", status_code=404, headers={"cache-control": "no-cache"})

    app.add_route("/api/{rest:path}", no_such_route, methods=methods, include_in_schema=False)
    if folder is not None:
        app.mount("/", Page(directory=folder, html=True, check_dir=False))
    else:
        app.add_route("/{rest:path}", no_page, methods=["GET", "HEAD"], include_in_schema=False)
