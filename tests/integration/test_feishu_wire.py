"""Real lark-oapi over real sockets, against a far side that misbehaves in every way it can."""

from __future__ import annotations

import json
import logging
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from agent.clock import SystemClock
from agent.errors import Unreachable
from agent.model import Click, Verdict
from agent.sinks.feishu.callbacks.supervisor import Callbacks
from agent.sinks.feishu.client import FeishuClient, Upload
from agent.sinks.feishu.lark import LarkTransport, ws
from agent.sinks.feishu.retry import Unknown
from agent.sinks.feishu.settings import FeishuSettings

SECRET, TICKET = "s3cret-of-the-app", "ticket-of-the-connection"
TZ = ZoneInfo("Asia/Shanghai")
Act = Callable[[BaseHTTPRequestHandler], None]


def answer(
    body: Any, status: int = 200, kind: str = "application/json; charset=utf-8", length: int | None = None
) -> Act:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def act(http: BaseHTTPRequestHandler) -> None:
        http.send_response(status)
        http.send_header("content-type", kind)
        http.send_header("Content-Length", str(len(data) if length is None else length))
        http.end_headers()
        http.wfile.write(data)

    return act


def reset(http: BaseHTTPRequestHandler) -> None:
    http.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    http.connection.close()


def hang(http: BaseHTTPRequestHandler) -> None:
    http.server.over.wait(20)  # type: ignore[attr-defined]


def drip(http: BaseHTTPRequestHandler) -> None:
    http.send_response(200)
    http.send_header("Content-Length", "9999")
    http.end_headers()
    while not http.server.over.wait(0.1):  # type: ignore[attr-defined]
        http.wfile.write(b" ")
        http.wfile.flush()


class Side:
    """HTTP and ws. `plan[path part]` holds what the next calls meet; otherwise all is well."""

    def __init__(self) -> None:
        self.plan: dict[str, deque[Act]] = {}
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        self.links: list[ServerConnection] = []
        self.frames: Queue[Any] = Queue()
        self.pong = True
        side = self

        class Http(BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, ValueError):
                    self.close_connection = True

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                side.requests.append((self.command, self.path, dict(self.headers), body))
                planned = next((acts for part, acts in side.plan.items() if part in self.path and acts), None)
                (planned.popleft() if planned else side.well)(self)

            do_GET = do_POST = do_PATCH = do_DELETE = answer

            def log_message(self, *_: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Http)
        self.http.daemon_threads = True
        self.http.over = threading.Event()  # type: ignore[attr-defined]
        self.ws: Server = serve(self._link, "127.0.0.1", 0, ping_interval=None)
        for run in (self.http.serve_forever, self.ws.serve_forever):
            threading.Thread(target=run, daemon=True).start()

    def well(self, http: BaseHTTPRequestHandler) -> None:
        if "tenant_access_token" in http.path:
            body: dict[str, Any] = {
                "code": 0,
                "msg": "ok",
                "tenant_access_token": "t-abcdefghijklmnopq",
                "expire": 7200,
            }
        elif "ws/endpoint" in http.path:
            port = self.ws.socket.getsockname()[1]
            url = f"ws://127.0.0.1:{port}/ws/v2?device_id=d1&service_id=7&ticket={TICKET}"
            config = {"ReconnectCount": -1, "ReconnectInterval": 120, "ReconnectNonce": 30, "PingInterval": 120}
            body = {"code": 0, "msg": "", "data": {"URL": url, "ClientConfig": config}}
        else:
            body = {"code": 0, "msg": "success", "data": {"ok": True}}
        answer(body)(http)

    def _link(self, link: ServerConnection) -> None:
        self.links.append(link)
        try:
            for data in link:
                frame = ws.Frame()
                frame.ParseFromString(data)
                if frame.method == 0 and self.pong:
                    frame.headers[0].value = "pong"
                    frame.payload = b'{"PingInterval":90}'
                    link.send(frame.SerializeToString())
                elif frame.method == 1:
                    self.frames.put(frame)
        except ConnectionClosed:
            return

    def push(self, payload: bytes, kind: str = "event", parts: int = 1, name: str = "m1") -> None:
        size = -(-len(payload) // parts)
        for seq in range(parts):
            frame = ws.Frame()
            frame.SeqID = frame.LogID = 1
            frame.service, frame.method = 7, 1
            told = {"type": kind, "message_id": name, "trace_id": "t", "sum": str(parts), "seq": str(seq)}
            for key, value in told.items():
                header = frame.headers.add()
                header.key, header.value = key, value
            frame.payload = payload[seq * size : (seq + 1) * size]
            self.links[-1].send(frame.SerializeToString())

    def answered(self, timeout: float = 5) -> tuple[int, Any]:
        import base64

        body = json.loads(self.frames.get(timeout=timeout).payload)
        return body["code"], json.loads(base64.b64decode(body["data"])) if "data" in body else None

    def close(self) -> None:
        self.http.over.set()  # type: ignore[attr-defined]
        for link in self.links:
            link.socket.close()
        self.ws.shutdown()
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def side() -> Iterator[Side]:
    side = Side()
    yield side
    side.close()


def settings(side: Side, tmp: Path, **more: Any) -> FeishuSettings:
    (tmp / "secret").write_text(SECRET)
    port = side.http.server_address[1]
    base = {
        "app_id": "cli_a1",
        "app_secret_file": tmp / "secret",
        "base_url": f"http://127.0.0.1:{port}",
        "timeout_s": 0.6,
    }
    return FeishuSettings.model_validate({**base, **more})


class Bench:
    def __init__(self, side: Side, tmp: Path) -> None:
        self.stop = threading.Event()
        transport = LarkTransport(settings(side, tmp), self.stop)
        self.client = FeishuClient(transport, "cli_a1", SECRET, SystemClock(), self.stop)

    def get(self) -> dict[str, Any]:
        return self.client.call(
            "x.get", "GET", "/open-apis/x/:id", paths={"id": "a/b?c"}, query=[("q", "中 &"), ("q", "2")]
        )


@pytest.fixture
def bench(side: Side, tmp_path: Path) -> Bench:
    return Bench(side, tmp_path)


def test_a_request_as_feishu_wants_it(side: Side, bench: Bench) -> None:
    assert bench.get() == {"ok": True}
    bench.client.call("x.post", "POST", "/open-apis/x", body={"content": '{"文":1}'})
    (_, token_path, _, token_body), (_, path, headers, _), (_, _, posted, body) = side.requests
    assert token_path.endswith("/tenant_access_token/internal") and json.loads(token_body)["app_secret"] == SECRET
    assert (
        path == "/open-apis/x/a%2Fb%3Fc?q=%E4%B8%AD+%26&q=2"
        and headers["Authorization"] == "Bearer t-abcdefghijklmnopq"
    )
    assert posted["Content-Type"] == "application/json; charset=utf-8" and json.loads(body) == {"content": '{"文":1}'}


def test_an_upload_has_a_file_name(side: Side, bench: Bench) -> None:
    upload = Upload("image", "a.png", b"\x89PNG\r\n", "image/png", {"image_type": "message"})
    bench.client.call("im.image.create", "POST", "/open-apis/im/v1/images", upload=upload)
    _, _, headers, body = side.requests[-1]
    assert headers["Content-Type"].startswith("multipart/form-data; boundary=")
    assert b'name="image"; filename="a.png"' in body and b"\x89PNG\r\n" in body and b"message" in body


BAD: list[Act] = [
    answer(b"<html>502</html>", 502, "text/html"), answer(b"<html>login</html>", 200, "text/html"),
    answer(b"<html>", 200), answer(b'{"code":0,"da', 200), answer(b'{"code":0}', 200, length=999), answer(b"", 204),
    hang,
]  # fmt: skip


@pytest.mark.parametrize("bad", BAD)
def test_bad_answers_leave_the_outcome_open(side: Side, bench: Bench, bad: Act) -> None:
    side.plan["/x/"] = deque([bad] * 2)
    with pytest.raises(Unknown) as error:
        bench.get()
    assert "127.0.0.1" not in str(error.value) and SECRET not in str(error.value)
    side.plan.clear()
    assert bench.get() == {"ok": True}


def test_a_reset_is_tried_again_at_once(side: Side, bench: Bench) -> None:
    side.plan["/x/"] = deque([reset])
    assert bench.get() == {"ok": True}


def test_an_answer_that_drips_is_given_up(side: Side, bench: Bench) -> None:
    side.plan["/x/"] = deque([drip])
    before = time.monotonic()
    with pytest.raises(Unknown, match="no whole answer in time"):
        bench.get()
    assert time.monotonic() - before < 3


def test_nobody_there(tmp_path: Path, side: Side) -> None:
    bench = Bench(side, tmp_path)
    side.close()
    before = time.monotonic()
    with pytest.raises(Unknown):
        bench.get()
    assert time.monotonic() - before < 2


def test_stopping_does_not_wait_for_an_answer(side: Side, bench: Bench) -> None:
    side.plan["/x/"] = deque([hang])
    threading.Timer(0.2, bench.stop.set).start()
    with pytest.raises(Unreachable, match="stopping"):
        bench.get()


# --- the long connection


class Ear:
    """The app's side: verdicts and events as tests like them."""

    def __init__(self) -> None:
        self.clicks: list[Click] = []
        self.events: list[str] = []
        self.verdict: Callable[[], Future[Verdict]] = lambda: _done(Verdict("success", "好"))

    def on_click(self, click: Click) -> Future[Verdict]:
        self.clicks.append(click)
        return self.verdict()

    def on_event(self, kind: str, event: Any, event_id: str) -> Future[None]:
        self.events.append(kind)
        return _done(None)


def _done(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_result(value)
    return future


@pytest.fixture
def ear() -> Ear:
    return Ear()


@pytest.fixture
def start(side: Side, ear: Ear, tmp_path: Path) -> Iterator[Callable[..., Callbacks]]:
    made: list[Callbacks] = []

    def begin(wait: bool = True, **more: Any) -> Callbacks:
        own = settings(side, tmp_path, **{"ping_s": 0.2, "silent_s": 1.5, **more})
        made.append(Callbacks(own, SystemClock(), TZ, on_click=ear.on_click, on_event=ear.on_event,
                              card=lambda neutral: {"drawn": neutral}, person=lambda open_id: None))  # fmt: skip
        made[-1].start()
        if wait:
            until(lambda: made[-1].health().state == "open" and bool(side.links))
        return made[-1]

    yield begin
    for one in made:
        one.stop()


def until(true: Callable[[], bool], timeout: float = 10) -> None:
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def click(event_id: str = "e1") -> bytes:
    event = {"operator": {"open_id": "ou_1"}, "action": {"value": {"ticket": "T", "action": "respond"}}, "context": {}}
    header = {"event_id": event_id, "event_type": "card.action.trigger", "create_time": "1795315200000000"}
    return json.dumps({"schema": "2.0", "header": header, "event": event}).encode()


@pytest.mark.parametrize(("kind", "parts"), [("event", 1), ("card", 1), ("event", 3)])
def test_a_click_is_answered(side: Side, ear: Ear, start: Any, kind: str, parts: int) -> None:
    ear.verdict = lambda: _done(Verdict("success", "好", {"no": "T"}))
    start()
    side.push(click(), kind, parts)
    status, body = side.answered()
    assert status == 200 and body["toast"]["content"] == "好" and body["card"]["data"] == {"drawn": {"no": "T"}}
    assert [c.event_id for c in ear.clicks] == ["e1"]


def test_twenty_clicks_with_the_line_away_are_answered_in_time_and_pings_go_on(
    side: Side, ear: Ear, start: Any
) -> None:
    ear.verdict = Future
    health = start(click_wait_s=1.0).health
    before = time.monotonic()
    for n in range(20):
        side.push(click(f"e{n}"), name=f"m{n}")
    time.sleep(0.5)
    assert health().last_frame_at is not None
    heard = health().last_frame_at
    answers = [side.answered() for _ in range(20)]
    assert time.monotonic() - before < 3 and len(ear.clicks) == 20
    assert all(status == 200 and body["toast"]["content"].startswith("还没存好") for status, body in answers)
    assert health().last_frame_at > heard, "pongs were read while the clicks waited"


def test_events_are_handed_on(side: Side, ear: Ear, start: Any) -> None:
    start()
    body = {
        "schema": "2.0",
        "header": {"event_id": "e", "event_type": "im.chat.disbanded_v1"},
        "event": {"chat_id": "oc"},
    }
    side.push(json.dumps(body).encode())
    assert side.answered() == (200, None) and ear.events == ["im.chat.disbanded_v1"]
    side.push(b"\xff\x00junk")
    assert side.answered() == (200, None)


def heals(side: Side, callbacks: Callbacks, timeout: float = 10) -> None:
    before = len(side.links)
    until(lambda: len(side.links) > before and callbacks.health().state == "open", timeout)
    side.push(click("after"))
    assert side.answered()[0] == 200


def test_a_connection_that_breaks_is_replaced(side: Side, start: Any) -> None:
    callbacks = start()
    side.links[-1].socket.shutdown(socket.SHUT_RDWR)
    heals(side, callbacks)
    assert callbacks.health().losses == 1


def test_a_connection_that_falls_silent_is_replaced(side: Side, start: Any) -> None:
    callbacks = start()
    side.pong = False
    until(lambda: callbacks.health().losses == 1)
    assert "silent" in callbacks.health().reason
    side.pong = True
    heals(side, callbacks)


REFUSED = [answer({"code": 1000040350, "msg": "too many connections"}), answer({"code": 10014, "msg": "bad secret"}),
           answer(b"<html>", 502, "text/html"), reset, hang, answer({"code": 0, "data": {"URL": "ws://127.0.0.1:9/?x=1"}}),
           answer({"code": 0, "data": {"URL": "ws://127.0.0.1:9/?device_id=1&service_id=2"}})]  # fmt: skip


@pytest.mark.parametrize("refusal", REFUSED)
def test_an_endpoint_that_refuses_or_hangs_is_asked_again(side: Side, start: Any, refusal: Act) -> None:
    callbacks = start()
    side.plan["ws/endpoint"] = deque([refusal])
    side.links[-1].close()
    heals(side, callbacks, timeout=20)
    assert callbacks.health().losses == 2 and not side.plan["ws/endpoint"]


def test_stop_is_quick_even_while_the_endpoint_hangs(side: Side, start: Any) -> None:
    side.plan["ws/endpoint"] = deque([hang] * 9)
    callbacks = start(wait=False, timeout_s=10)
    time.sleep(0.3)
    before = time.monotonic()
    callbacks.stop()
    assert time.monotonic() - before < 2.0


def test_nothing_secret_is_logged(side: Side, start: Any, bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        start()
        side.push(click())
        side.answered()
        bench.get()
        side.links[-1].close()
        time.sleep(0.2)
    ours = "\n".join(r.getMessage() for r in caplog.records if r.name != "websockets.server")  # that is the far side's
    assert "is open" in ours and not re.search(f"{SECRET}|{TICKET}|t-abcdef", ours)


def test_importing_lark_leaves_no_handler_and_no_loop_behind() -> None:
    assert logging.getLogger("Lark").handlers == []
    assert ws.loop.is_closed()
