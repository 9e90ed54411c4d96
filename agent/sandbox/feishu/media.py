"""im/v1/images and im/v1/files: uploads live in memory, up to 256 MB in all."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from agent.sandbox.feishu.request import Answer, Blob, Req, multipart
from agent.sandbox.rules.refusal import FeishuError
from agent.sandbox.world.world import Media, SandboxWorld

IMAGE_MAX, FILE_MAX, ALL_MAX = 10 * 2**20, 30 * 2**20, 256 * 2**20
PIXELS_MAX, AVATAR_MAX = 12_000, 4096
FORMATS: Mapping[bytes, str] = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF8": "image/gif",
    b"BM": "image/bmp",
    b"RIFF": "image/webp",
}
FILE_TYPES = frozenset({"opus", "mp4", "pdf", "doc", "xls", "ppt", "stream"})


def create_image(req: Req) -> Answer:
    """POST im/v1/images (multipart image_type, image)."""
    parts = multipart(req)
    data, kind = parts.get("image"), parts.get("image_type", b"").decode("ascii", "replace")
    if data is None or kind not in ("message", "avatar"):
        raise FeishuError(234001)
    check_image(data, AVATAR_MAX if kind == "avatar" else PIXELS_MAX)
    return {"image_key": keep(req.world, data, "image", mime_of(data) or "", "image")}


def check_image(data: bytes, pixels: int = PIXELS_MAX) -> None:
    """Raises 234010 empty, 234006 over 10 MB, 234011 not a picture, 234039 too many pixels."""
    if not data:
        raise FeishuError(234010)
    if len(data) > IMAGE_MAX:
        raise FeishuError(234006)
    mime = mime_of(data)
    if mime is None:
        raise FeishuError(234011)
    if mime == "image/png" and len(data) >= 24 and max(struct.unpack(">II", data[16:24])) > pixels:
        raise FeishuError(234039)


def mime_of(data: bytes) -> str | None:
    """The kind of picture by its first bytes, None if it is none."""
    return next((mime for magic, mime in FORMATS.items() if data.startswith(magic)), None)


def keep(world: SandboxWorld, data: bytes, kind: str, mime: str, name: str, by_bot: bool = True) -> str:
    """Store a picture or file and give its key. Raises 232096 when memory for them is used up."""
    if sum(len(m.data) for m in world.media.values()) + len(data) > ALL_MAX:
        raise FeishuError(232096)
    key = world.new_id("img_v3" if kind == "image" else "file_v3")
    world.media[key] = Media(key, kind, data, mime, name, by_bot)
    return key


def get_image(req: Req) -> Answer:
    """GET im/v1/images/:image_key: only what the app uploaded itself."""
    media = req.world.media.get(req.params["image_key"])
    if media is None or media.kind != "image":
        raise FeishuError(234005)
    if not media.by_bot:
        raise FeishuError(234008)
    return Blob(media.data, media.mime, media.name)


def create_file(req: Req) -> Answer:
    """POST im/v1/files (multipart file_type, file_name, duration?, file)."""
    parts = multipart(req)
    data, name = parts.get("file"), parts.get("file_name", b"").decode("utf-8", "replace")
    if data is None or not name or parts.get("file_type", b"").decode("ascii", "replace") not in FILE_TYPES:
        raise FeishuError(234001)
    if not data:
        raise FeishuError(234010)
    if len(data) > FILE_MAX:
        raise FeishuError(234006)
    return {"file_key": keep(req.world, data, "file", "application/octet-stream", name)}
