"""Bodies and paths that somebody made to hurt: refused with a reason, and nothing is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_ui_world import World, opened

from agent.clock import ManualClock
from agent.ui.gate import BLOB_MAX, JSON_MAX, LIST_MAX

JSON = {"Content-Type": "application/json"}
POSTS = ["/api/v1/tickets", "/api/v1/measurements", "/api/v1/violations", "/api/v1/tickets/SZ1-E3-261122-001/comment"]


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock) -> Iterator[World]:
    yield from opened(tmp_path, clock)


@pytest.mark.parametrize(
    "raw",
    [b'{"category":NaN}', b'{"category":Infinity}', b'{"value":1e999}', b'{"value":-1e999}', b"{", b'{"a":"\xff"}',
     b'{"a":"\\ud800"}', b"\xef\xbb\xbf{}", b'{"a":1,}', b"{'a':1}", b"[" * 30000, b'{"a":' * 20 + b"1" + b"}" * 20,
     b'{"a":"\\u0000"}', b'{"a\\u0000":1}', b'{"a":' + b"9" * 5000 + b"}", b"\x1f\x8b\x08\x00", b"null x", b"\0"],
    ids=lambda raw: repr(raw[:24]),
)  # fmt: skip
def test_json_that_is_not_strict_is_400(world: World, raw: bytes) -> None:
    for path in POSTS:
        answer = world.call("POST", path, content=raw, headers=JSON)
        assert (answer.status_code, answer.json()["error"]["key"]) == (400, "api.json"), path
    assert world.events() == 0


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                                  "application/jsonp", "", "image/png"])  # fmt: skip
def test_a_write_must_be_json(world: World, kind: str) -> None:
    """A form on another site cannot send that type without asking first."""
    body = b'{"category":"welding","severity":"stop"}'
    answer = world.call("POST", "/api/v1/tickets", content=body, headers={"Content-Type": kind} if kind else {})
    assert (answer.status_code, answer.json()["error"]["key"]) == (415, "api.media")
    zipped = world.call("POST", "/api/v1/tickets", content=body, headers={**JSON, "Content-Encoding": "gzip"})
    assert zipped.status_code == 415
    assert world.events() == 0
    charset = world.call(
        "POST", "/api/v1/tickets", content=body, headers={"Content-Type": "Application/JSON; charset=utf-8"}
    )
    assert charset.status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [("POST", "/api/v1/tickets", JSON_MAX), ("POST", "/api/v1/violations", LIST_MAX),
     ("PUT", "/api/v1/blobs/" + "0" * 64, BLOB_MAX), ("POST", "/nowhere", JSON_MAX)],
)  # fmt: skip
def test_a_body_is_refused_by_its_announced_size_before_it_is_read(
    world: World, method: str, path: str, limit: int
) -> None:
    sent = []

    async def body() -> AsyncIterator[bytes]:
        sent.append(1)
        yield b"x"

    headers = {"Content-Length": str(limit + 1), **JSON}
    answer = world.call(method, path, token=None, content=body(), headers=headers)
    assert (answer.status_code, answer.json()["error"]["key"]) == (413, "api.too_large")
    assert answer.json()["error"]["args"] == {"max": limit}


def test_a_body_that_does_not_tell_its_size_is_counted(world: World) -> None:
    """Chunked: whoever never stops sending is cut off at the limit, not at the end of memory."""
    pulled = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal pulled
        while True:
            pulled += 1
            yield b" " * 1024

    transport_headers = {"Transfer-Encoding": "chunked", **JSON}
    answer = streamed(world, "/api/v1/tickets", endless(), transport_headers)
    assert answer == 413
    assert pulled <= JSON_MAX // 1024 + 2


def streamed(world: World, path: str, body: AsyncIterator[bytes], headers: dict[str, str]) -> int:
    """The status that the app answers to a body that comes in pieces (httpx's ASGITransport reads one at a time)."""

    async def ask() -> int:
        transport = httpx.ASGITransport(world.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://kiosk.plant") as client:
            own = {"Authorization": f"Bearer {world.kiosk}", **headers}
            return (await client.post(path, content=body, headers=own)).status_code

    return asyncio.run(ask())


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "9" * 30, "1 ", "１"])
def test_a_lying_content_length_is_refused(world: World, length: str) -> None:
    async def app_answer() -> int:
        said: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"{}", "more_body": False}

        async def send(message: Any) -> None:
            said.append(message)

        headers = [(b"host", b"kiosk.plant"), (b"content-length", length.encode("utf-8"))]
        scope = {"type": "http", "method": "POST", "path": "/api/v1/tickets", "headers": headers, "query_string": b""}
        await world.app(scope, receive, send)
        return said[0]["status"]

    assert asyncio.run(app_answer()) == 413


PATHS = ["/api/v1/blobs/..%2f..%2fetc%2fpasswd", "/api/v1/blobs/" + "A" * 64, "/api/v1/tickets/..%2f..",
         "/api/../healthz/x", "/api/v1/tickets/" + "9" * 100, "/%2e%2e/%2e%2e/etc/passwd", "/assets/%00",
         "/api/v1/tickets/a'b", "/api/v1/tickets?limit=0",
         "/api/v1/tickets?limit=99999", "/api/v1/tickets?state=odd"]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_a_strange_path_is_refused(world: World, path: str) -> None:
    answer = world.call("GET", path)
    assert answer.status_code in (404, 422)
    assert "root:" not in answer.text


@pytest.mark.parametrize("name", ["Authorization", "X-Andon-Badge", "Idempotency-Key", "X-Andon-Entered-At", "Origin"])
def test_strange_headers_are_refused_or_harmless(world: World, name: str) -> None:
    no = world.raised()["no"]
    for value in (b"\xff\xfe", b"Bearer \xc3\xa4", b"a" * 5000, b"%00", b"%ff%fe", b"\x80" * 10):

        async def ask(value: bytes = value) -> int:
            transport = httpx.ASGITransport(world.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://kiosk.plant") as client:
                headers = [(b"Authorization", f"Bearer {world.kiosk}".encode())] if name != "Authorization" else []
                headers.append((name.encode(), value))
                return (
                    await client.post(f"/api/v1/tickets/{no}/comment", headers=headers, json={"text": "x"})
                ).status_code

        assert asyncio.run(ask()) in (401, 403, 409, 422), value


def test_a_method_that_is_not_there_is_405(world: World) -> None:
    answer = world.call("DELETE", "/api/v1/tickets")
    assert (answer.status_code, answer.json()["error"]["key"]) == (405, "api.method")
    assert answer.headers["allow"] == "GET, POST"  # RFC 9110, 15.5.6: it must say which


JSONS = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
    | st.integers(-(2**63), 2**63),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["characteristic", "values", "event_id", "key", "rule", "category", "severity",
                                       "text", "violations", "at", "value", "photos", "x"]), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=JSONS, path=st.sampled_from(POSTS))
def test_any_json_is_answered_by_a_refusal_or_taken(world: World, body: Any, path: str) -> None:
    """Never a 500: what is not understood is said to be so."""
    answer = world.call("POST", path, json=body, badge="20002")
    assert answer.status_code in (200, 201, 400, 404, 409, 422), answer.text
    if answer.status_code >= 400:
        assert answer.json()["error"]["text"]["en"]
