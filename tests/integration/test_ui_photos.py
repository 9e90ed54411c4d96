"""Pictures: taken by content, kept by hash, handed out as attachments."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_ui_world import World, opened

from agent.clock import ManualClock


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock) -> Iterator[World]:
    yield from opened(tmp_path, clock)


def png(width: int = 8, height: int = 6, rest: bytes = b"") -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x02\0\0\0" + rest


def jpeg(width: int = 8, height: int = 6, rest: bytes = b"") -> bytes:
    app0 = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + b"\0" * 9
    return b"\xff\xd8" + app0 + b"\xff\xc2" + struct.pack(">HBHH", 17, 8, height, width) + b"\3" + b"\0" * 9 + rest


def put(world: World, data: bytes, sha: str | None = None, **more: Any) -> Any:
    name = sha or hashlib.sha256(data).hexdigest()
    return world.call("PUT", f"/api/v1/blobs/{name}", content=data, headers={"Content-Type": "image/jpeg"}, **more)


@pytest.mark.parametrize("data", [png(rest=b"x" * 4000), jpeg(rest=b"y" * 4000)], ids=["png", "jpeg"])
def test_a_picture_comes_back_as_it_was_but_never_as_a_page(world: World, data: bytes) -> None:
    sha = hashlib.sha256(data).hexdigest()
    assert [put(world, data).status_code, put(world, data).status_code] == [201, 200]
    assert put(world, data).json() == {"sha": sha, "size": len(data)}
    answer = world.call("GET", f"/api/v1/blobs/{sha}")
    assert answer.content == data
    assert answer.headers["content-type"] in ("image/png", "image/jpeg")
    assert answer.headers["content-disposition"].startswith("attachment;")
    assert answer.headers["x-content-type-options"] == "nosniff"
    told = world.raised(photos=[sha])
    assert told["no"]


@pytest.mark.parametrize(
    "data",
    [b"", b"GIF89a" + b"\0" * 40, b"<svg onload='alert(1)'/>", b"<html>", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n",
     jpeg()[:18], png()[:20], b"\xff\xd8\xff\xff\xff\xff" * 100, png(0, 9), b"\xff\xd8\xff\xe0\0\0" * 50],
    ids=lambda data: repr(data[:12]),
)  # fmt: skip
def test_what_is_no_picture_is_refused(world: World, data: bytes) -> None:
    answer = put(world, data)
    assert (answer.status_code, answer.json()["error"]["key"]) == (422, "api.not_image")


def test_a_picture_that_would_unpack_to_gigabytes_is_refused(world: World) -> None:
    for data in (png(60_000, 60_000), jpeg(60_000, 60_000)):
        answer = put(world, data)
        assert (answer.status_code, answer.json()["error"]["key"]) == (422, "api.image_pixels")


def test_a_picture_damaged_on_the_way_is_refused(world: World) -> None:
    sha = hashlib.sha256(png()).hexdigest()
    answer = put(world, png(rest=b"!"), sha)
    assert (answer.status_code, answer.json()["error"]["key"]) == (422, "api.image_hash")
    assert world.parts.blobs.path(sha) is None


def test_the_largest_picture_is_four_mebibytes(world: World) -> None:
    fits = jpeg(rest=b"z" * ((4 << 20) - len(jpeg())))
    assert put(world, fits).status_code == 201
    assert put(world, fits + b"z").status_code == 413


def test_an_unknown_picture_is_404(world: World) -> None:
    assert world.call("GET", "/api/v1/blobs/" + "0" * 64).status_code == 404
