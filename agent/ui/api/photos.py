"""Pictures: taken by content, not by name; handed out only as attachments that no browser will run."""

from __future__ import annotations

import asyncio
import struct
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import FileResponse

from agent.errors import BadSignal
from agent.store.write import StoreFull
from agent.ui.api import shapes
from agent.ui.api.answers import Problem, answer
from agent.ui.api.caller import Caller, Parts, allowed

PIXELS_MAX = 50_000_000
PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""JPEG markers that carry the size (ITU-T T.81, table B.1: SOF0…SOF15 without DHT, JPG, DAC)."""

Sha = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")]
_BYTES = {"schema": {"type": "string", "format": "binary"}}

KEPT: shapes.Responses = {201: {"model": shapes.BlobOut}, **shapes.errors(413, 415, 503)}

router = APIRouter(prefix="/api/v1", tags=["photos"])


@router.put(
    "/blobs/{sha}", response_model=shapes.BlobOut, responses=KEPT,
    openapi_extra={"requestBody": {"required": True, "content": {"image/jpeg": _BYTES, "image/png": _BYTES}}},
)  # fmt: skip
async def put_blob(
    sha: Sha, request: Request, parts: Parts, caller: Annotated[Caller, Depends(allowed("photo"))]
) -> Response:
    """Keep a picture durably; the same again is no harm."""
    data = await request.body()
    size = dimensions(data)
    if size is None:
        raise Problem(422, "api.not_image")
    if size[0] * size[1] > PIXELS_MAX:
        raise Problem(422, "api.image_pixels", pixels=size[0] * size[1], max=PIXELS_MAX)
    known = parts.blobs.path(sha) is not None
    try:
        await asyncio.to_thread(parts.blobs.put, data, sha)
    except BadSignal as error:
        raise Problem(422, "api.image_hash") from error
    except OSError as error:
        raise StoreFull(f"the disk does not take a picture: {error.strerror}") from error
    return answer({"sha": sha, "size": len(data)}, 200 if known else 201)


@router.get("/blobs/{sha}", response_class=FileResponse, responses=shapes.errors(404))
def get_blob(sha: Sha, parts: Parts, caller: Annotated[Caller, Depends(allowed("look"))]) -> Response:
    """A picture, as an attachment."""
    path = parts.blobs.path(sha)
    if path is None:
        raise Problem(404, "api.not_found", path=sha[:12])
    with path.open("rb") as file:
        png = file.read(len(PNG)) == PNG
    headers = {"cache-control": "private, max-age=31536000, immutable"}
    kind, name = ("image/png", f"{sha[:12]}.png") if png else ("image/jpeg", f"{sha[:12]}.jpg")
    return FileResponse(path, media_type=kind, filename=name, content_disposition_type="attachment", headers=headers)


def dimensions(data: bytes) -> tuple[int, int] | None:
    """Width and height in pixels of a JPEG or PNG, from its header alone; None for anything else.

    PNG: the IHDR chunk stands first (W3C PNG 3rd ed., 5.6). JPEG: the first SOF segment (ITU-T T.81, B.2.2).
    """
    if data.startswith(PNG):
        found = struct.unpack(">II", data[16:24]) if data[12:16] == b"IHDR" and len(data) >= 24 else None
    else:
        found = _jpeg(data) if data.startswith(JPEG) else None
    return None if found is None or 0 in found else (found[0], found[1])


def _jpeg(data: bytes) -> tuple[int, int] | None:
    place = 2
    while place + 9 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker in _FRAMES:
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return None
