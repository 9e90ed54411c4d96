"""The built page as files."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_ui_world import World, opened

from agent.clock import ManualClock
from agent.ui.page import FOREVER

SCRIPT = b"export const a = 1;\n" * 200


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock) -> Iterator[World]:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<!doctype html><title>Andon</title>")
    (static / "sw.js").write_text("self.skipWaiting()")
    (static / "assets" / "index-abc.js").write_bytes(SCRIPT)
    (static / "assets" / "index-abc.js.gz").write_bytes(gzip.compress(SCRIPT))
    (tmp_path / "secret.txt").write_text("not for you")
    (static / "link.txt").symlink_to(tmp_path / "secret.txt")
    yield from opened(tmp_path, clock, static)


def test_the_page_is_asked_for_each_time_and_its_assets_once(world: World) -> None:
    cached = {
        path: world.call("GET", path, token=None).headers["cache-control"]
        for path in ("/", "/index.html", "/sw.js", "/assets/index-abc.js")
    }
    assert cached == {"/": "no-cache", "/index.html": "no-cache", "/sw.js": "no-cache", "/assets/index-abc.js": FOREVER}


def test_what_did_not_change_is_304(world: World) -> None:
    first = world.call("GET", "/", token=None)
    again = world.call("GET", "/", token=None, headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code, again.content) == (200, 304, b"")


def test_the_packed_file_goes_to_those_who_take_it(world: World) -> None:
    packed = world.call("GET", "/assets/index-abc.js", token=None, headers={"Accept-Encoding": "br, gzip"})
    plain = world.call("GET", "/assets/index-abc.js", token=None, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < len(SCRIPT) == int(plain.headers["content-length"])
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content == SCRIPT
    for answer in (packed, plain):
        assert "javascript" in answer.headers["content-type"]
        assert answer.headers["vary"] == "accept-encoding"


def test_the_api_never_falls_into_the_page(world: World) -> None:
    for method, path in (
        ("GET", "/api/v1/nothing"),
        ("GET", "/api/"),
        ("POST", "/api/v1/kiosks"),
        ("GET", "/api/v2/x"),
    ):
        answer = world.call(method, path, token=None)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/json"), path
        assert answer.json()["error"]["key"] == "api.not_found"


@pytest.mark.parametrize("path", ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/..%2f..%2fsecret.txt", "/link.txt",
                                  "//etc/passwd", "/assets", "/none.js"])  # fmt: skip
def test_nothing_outside_the_folder_is_served(world: World, path: str) -> None:
    answer = world.call("GET", path, token=None)
    assert answer.status_code in (404, 307)
    assert "not for you" not in answer.text


def test_without_a_page_it_says_how_to_build_one(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "bare").mkdir()
    for bare in opened(tmp_path / "bare", clock):
        answer = bare.call("GET", "/", token=None)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "text/plain; charset=utf-8")
        assert "make demo" in answer.text
        assert bare.call("GET", "/api/v1/kiosk").status_code == 200
