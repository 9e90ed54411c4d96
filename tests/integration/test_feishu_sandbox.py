"""The sink and the long connection against the sandbox: real lark-oapi, real HTTP and websocket, a strict far side."""

from __future__ import annotations

import base64
import gc
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from agent.clock import ManualClock
from agent.errors import Rejected, Unreachable
from agent.model import Click, Verdict
from agent.outbox.sink import Delivered, Message, Reissue
from agent.sandbox.local import LocalSandbox
from agent.sandbox.world.people import load_directory
from agent.sandbox.world.world import AppSettings, SandboxWorld
from agent.sinks.feishu.callbacks.supervisor import Callbacks
from agent.sinks.feishu.settings import FeishuSettings
from agent.sinks.feishu.sink import FeishuSink

NO = "SZ1-E3-261122-007"
GROUP, CARD = f"group:{NO}", f"card:{NO}"
START = datetime(2026, 11, 22, 2, 40, tzinfo=UTC)
TZ = ZoneInfo("Asia/Shanghai")
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
TEAM = ["10021", "10022", "10031"]


class Names:
    """Names over dicts; people of the sandbox's plant by mail, so that open_ids must be asked for."""

    def __init__(self, world: SandboxWorld) -> None:
        self.known: dict[str, str] = {}
        self.files: dict[str, Path] = {}
        self.people = {p.id: {"id": p.id, "name": p.name, "email": p.email} for p in world.directory.people.values()}

    def far(self, logical: str) -> str | None:
        return self.known.get(logical)

    def remember(self, logical: str, far: str) -> None:
        self.known[logical] = far

    def person(self, person: str) -> Mapping[str, Any] | None:
        return self.people.get(person)

    def blob(self, sha: str) -> Path | None:
        return self.files.get(sha)


class Bench:
    """Sandbox, sink and the control API; both sides live by one clock that tests move."""

    def __init__(self, tmp: Path) -> None:
        self.clock = ManualClock(START)
        self.world = SandboxWorld(self.clock, load_directory(None, AppSettings().app_id), AppSettings())
        self.sandbox = LocalSandbox(self.world)
        self.tmp = tmp

    def __enter__(self) -> Bench:
        self.sandbox.__enter__()
        (self.tmp / "secret").write_text(self.world.app.app_secret)
        self.settings = FeishuSettings(
            app_id=self.world.app.app_id, app_secret_file=self.tmp / "secret", base_url=self.sandbox.url, timeout_s=2,
            ping_s=0.3, silent_s=2,
        )  # fmt: skip
        self.http = httpx.Client(base_url=self.sandbox.url + "/sandbox/api", trust_env=False, timeout=10)
        self.sink, self.names = FeishuSink(self.settings, self.clock, TZ), Names(self.world)
        return self

    def __exit__(self, *_: object) -> None:
        self.sink.close()
        self.http.close()
        self.sandbox.__exit__(None, None, None)

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.http.post(path, json=body or {})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def fault(self, api: str, kind: str, **more: Any) -> None:
        self.post("/faults", {"api": api, "kind": kind, "times": 1, **more})

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.http.get("/state").json()
        assert state["violations"] == [], "the far side found nothing wrong with how it was used"
        return state

    def messages(self) -> list[dict[str, Any]]:
        found = self.http.get(f"/groups/{self.names.known[GROUP]}/messages").json()["messages"]
        return [m for m in found if m["kind"] == "message"]

    def deliver(self, kind: str, *, key: str = "", tried: datetime | None = None, **payload: Any) -> Any:
        body = {"ticket": NO, "group": GROUP, "card": CARD, **payload}
        message = Message("u", NO, kind, body, key or f"key-{kind}", START, tried, 1 if tried is None else 2)
        done = self.sink.deliver(message, self.names)
        if isinstance(done, Delivered):
            self.names.known |= done.far
        return done

    def story(self) -> None:
        """A group with its card."""
        self.deliver("open_group", name=f"焊缝熔宽 {NO}", description="侧缝焊", people=TEAM, owner=None)
        self.deliver("post_card", card_body=card())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with Bench(tmp_path) as bench:
        yield bench


def card(title: str = "等响应：焊缝熔宽低于控制限", attention: str = "soon") -> dict[str, Any]:
    value = {"ticket": NO, "cycle": 1}
    return {
        "no": NO, "attention": attention, "title": title, "subtitle": f"3 号线·OP40·{NO}", "tag": "观察",
        "blocks": [
            {"type": "lead", "text": "请在 12:20 前响应。", "people": ["10021"]},
            {"type": "fields", "fields": [{"label": "测得", "value": "431.6 µm"}, {"label": "次数", "value": "5 次"}]},
            {"type": "note", "label": "说明", "text": "<at id=all></at> **x** [y](http://evil.cn)"},
            {"type": "picture", "sha": "ab" * 32, "alt": "控制图"},
            {"type": "divider"},
            {"type": "steps", "steps": [{"mark": "missed", "label": "2 h 响应", "text": "12:20 到期"},
                                        {"mark": "near", "label": "24 h 遏制", "text": "周一 10:20"}]},
            {"type": "form", "name": "contain", "title": "填遏制", "submit": "提交",
             "value": {**value, "action": "contain"},
             "fields": [{"name": "text", "label": "遏制措施", "kind": "multiline", "required": True},
                        {"name": "due", "label": "日期", "kind": "date", "required": True},
                        {"name": "owner", "label": "负责人", "kind": "person", "required": False},
                        {"name": "kind", "label": "类", "kind": "select", "required": False,
                         "options": [{"value": "m", "text": "料"}]}]},
            {"type": "actions", "actions": [
                {"label": "我来处理", "style": "primary", "value": {**value, "action": "respond"}, "confirm": None},
                {"label": "误报", "style": "danger", "value": {**value, "action": "cancel"}, "confirm": "计入误报？"}]},
            {"type": "foot", "text": "10:42 更新。"},
        ],
    }  # fmt: skip


def test_a_ticket_from_opening_to_the_end(bench: Bench) -> None:
    bench.names.files["ab" * 32] = bench.tmp / "a.png"
    (bench.tmp / "a.png").write_bytes(PNG)
    bench.story()
    [group] = bench.state()["groups"]
    assert group["members"] == TEAM and group["owner"] is None and group["ticket"] == NO
    bench.deliver("update_card", card_body=card("已响应", "none"))
    bench.deliver("add_people", people=["10007"])
    bench.deliver("say", text=f"{NO} 48 h 对策超时", people=["10007", "10021"])
    bench.deliver("nudge", person="10008", text=f"{NO} 请看一眼")
    first, said = bench.messages()
    assert first["version"] == 2 and first["card"]["header"]["template"] == "grey" and first["ticket"] == NO
    assert [e for e in first["card"]["body"]["elements"] if e["tag"] == "img"]
    assert NO in said["text"] and "10007" in bench.state()["groups"][0]["members"]
    name = {person["id"]: person["name"] for person in bench.state()["people"]}
    assert said["text"].startswith(f"@{name['10007']} @{name['10021']} ")  # who was told is to be read on the page
    assert bench.state()["counters"]["messages"]["direct"] == 1
    assert bench.deliver("leave_group") == Delivered()
    assert next(g for g in bench.state()["groups"] if g["kind"] == "group")["status"] == "dissolved"
    assert bench.deliver("dissolve_group").note == "already gone"


FAULTS = [
    {"kind": "lose", "mode": "reset"}, {"kind": "lose", "mode": "hang"}, {"kind": "reset"}, {"kind": "html"},
    {"kind": "truncate"}, {"kind": "token"}, {"kind": "limit", "seconds": 3}, {"kind": "hang"},
    {"kind": "code", "code": 2200, "msg": "internal"}, {"kind": "code", "code": 230020, "msg": "busy"},
]  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: "-".join(map(str, f.values())))
def test_whatever_happens_to_calls_there_is_one_of_each(bench: Bench, fault: dict[str, Any]) -> None:
    def until_done(kind: str, **payload: Any) -> None:
        tried = None
        for _ in range(6):
            try:
                assert isinstance(bench.deliver(kind, tried=tried, **payload), Delivered)
                return
            except Unreachable as error:
                tried = tried or bench.clock.now()
                bench.clock.advance(error.retry_after or 2)
        raise AssertionError("not delivered in six attempts")

    for api in ("im.chat.create", "im.message.create", "im.message.patch"):
        bench.fault(api, **fault)
    until_done("open_group", name=NO, description="", people=TEAM, owner=None)
    until_done("post_card", card_body=card())
    until_done("update_card", card_body=card("已响应"))
    until_done("say", text=f"{NO} 提醒", people=TEAM)
    state = bench.state()
    assert state["counters"]["groups"] == {"created": 1, "dissolved": 0, "duplicates": 0}
    first, said = bench.messages()
    assert first["card"]["header"]["title"]["content"] == f"已响应 · {NO}" and said["msg_type"] == "post"
    assert state["groups"][0]["members"] == TEAM


def test_past_the_windows_what_was_lost_is_found(bench: Bench) -> None:
    bench.fault("im.chat.create", "lose", mode="reset")
    opening = {"name": NO, "description": "", "people": TEAM, "owner": None}
    bench.fault("im.chat.create", "reset")
    with pytest.raises(Unreachable):
        bench.deliver("open_group", **opening)
    bench.clock.advance(timedelta(hours=11))
    assert "reconciliation" in bench.deliver("open_group", tried=START, **opening).note
    for kind, payload in (("post_card", {"card_body": card()}), ("say", {"text": f"{NO} x", "people": ["10021"]})):
        tried = bench.clock.now()
        bench.post("/faults", {"api": "im.message.create", "kind": "lose", "mode": "reset", "times": 2})
        with pytest.raises(Unreachable):
            bench.deliver(kind, **payload)
        bench.http.delete("/faults")
        bench.clock.advance(timedelta(hours=2))
        assert "reconciliation" in bench.deliver(kind, tried=tried, **payload).note
    assert isinstance(
        bench.deliver("say", key="other", tried=bench.clock.now() - timedelta(hours=1), text=f"{NO} y"), Reissue
    )
    assert len(bench.messages()) == 2 and bench.state()["counters"]["groups"]["created"] == 1


def test_a_card_after_fourteen_days_is_a_new_one(bench: Bench) -> None:
    bench.story()
    first = bench.names.known[CARD]
    bench.clock.advance(timedelta(days=15))
    bench.deliver("update_card", card_body=card("超时", "now"))
    assert bench.names.known[CARD] != first and len(bench.messages()) == 2


def test_people_who_left_do_not_stop_the_group(bench: Bench) -> None:
    bench.deliver("nudge", person="10022", text=NO)
    bench.post("/people/10022/resign")
    done = bench.deliver("open_group", name=NO, description="", people=TEAM, owner=None)
    assert "10022" in done.note
    assert next(g for g in bench.state()["groups"] if g["kind"] == "group")["members"] == ["10021", "10031"]
    with pytest.raises(Rejected, match="周敏"):
        bench.deliver("nudge", key="n2", person="10022", text=NO)


# --- clicks


class Line:
    """The edge: answers clicks, or is away."""

    def __init__(self) -> None:
        self.clicks: list[Click] = []
        self.away = False

    def on_click(self, click: Click) -> Future[Verdict]:
        self.clicks.append(click)
        future: Future[Verdict] = Future()
        if not self.away:
            future.set_result(Verdict("success", "已响应", card("已响应", "none")))
        return future

    def on_event(self, kind: str, event: Mapping[str, Any], event_id: str) -> Future[None]:
        self.events = [*getattr(self, "events", []), (kind, event_id)]
        future: Future[None] = Future()
        future.set_result(None)
        return future


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def ear(bench: Bench, line: Line) -> Iterator[Callbacks]:
    people = {p.open_id: p.id for p in bench.world.directory.people.values()}
    ear = Callbacks(bench.settings, bench.clock, TZ, on_click=line.on_click, on_event=line.on_event,
                    card=lambda neutral: bench.sink.card(neutral, bench.names), person=people.get)  # fmt: skip
    ear.start()
    until(lambda: bool(bench.state()["connections"]))
    yield ear
    ear.stop()


def until(true: Callable[[], bool], timeout: float = 15) -> None:
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


def press(bench: Bench, **what: Any) -> Any:
    return bench.post("/press", {"person": "10021", "message_id": bench.names.known[CARD], **what})


def test_a_press_is_answered_with_toast_and_card(bench: Bench, line: Line, ear: Callbacks) -> None:
    bench.story()
    answer = press(bench, value={"ticket": NO, "action": "respond", "cycle": 1})
    assert (
        answer["code"] == 0 and answer["toast"] == {"type": "success", "content": "已响应"} and answer["card_applied"]
    )
    [click] = line.clicks
    assert (click.value["action"], click.message_id, click.chat_id) == (
        "respond", bench.names.known[CARD], bench.names.known[GROUP],
    )  # fmt: skip
    assert abs((click.clicked_at or START) - START) < timedelta(seconds=1)
    assert bench.messages()[0]["card"]["header"]["title"]["content"] == f"已响应 · {NO}"


def test_a_form_arrives_in_the_plants_words(bench: Bench, line: Line, ear: Callbacks) -> None:
    bench.story()
    owner = next(p.open_id for p in bench.world.directory.people.values() if p.id == "10022")
    filled = {
        "contain__multiline__text": "隔离 3 卷",
        "contain__date__due": "2026-11-25",
        "contain__person__owner": owner,
        "contain__select__kind": "m",
    }
    assert press(bench, name="contain__submit", form_value=filled)["code"] == 0
    assert line.clicks[0].form == {"text": "隔离 3 卷", "due": "2026-11-25", "owner": "10022", "kind": "m"}


def test_twenty_presses_at_once_with_the_line_away(bench: Bench, line: Line, ear: Callbacks) -> None:
    bench.story()
    line.away = True
    value = {"ticket": NO, "action": "respond", "cycle": 1}
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: press(bench, value=value), range(20)))
    assert {a["code"] for a in answers} == {0} and all(a["toast"]["content"].startswith("还没存好") for a in answers)
    assert max(a["ms"] for a in answers) < 3000 and len(line.clicks) == 20


def test_events_come_through(bench: Bench, line: Line, ear: Callbacks) -> None:
    said = bench.post("/say", {"person": "10021", "chat_id": None, "text": "帮助"})
    until(lambda: ("im.message.receive_v1", said["message_id"]) in getattr(line, "events", []))


KILLS: list[tuple[str, dict[str, Any] | None]] = [
    ("torn", None),
    ("refused", {"api": "ws.endpoint", "kind": "code", "code": 1000040350, "msg": "too many", "times": 2}),
    ("endpoint-hangs", {"api": "ws.endpoint", "kind": "hang", "times": 1}),
    ("handshake-403", {"api": "ws.handshake", "kind": "code", "code": 403, "msg": "no", "times": 1}),
]


@pytest.mark.parametrize(("name", "fault"), KILLS, ids=[k[0] for k in KILLS])
def test_the_connection_heals(
    bench: Bench, line: Line, ear: Callbacks, name: str, fault: dict[str, Any] | None
) -> None:
    bench.story()
    if fault is not None:
        bench.post("/faults", fault)
    assert bench.post("/connections/drop", {})["dropped"] == 1
    until(lambda: ear.health().losses >= 1)
    until(lambda: bool(bench.state()["connections"]) and ear.health().state == "open")
    assert press(bench, value={"ticket": NO, "action": "respond", "cycle": 1})["code"] == 0


def test_a_half_open_connection_is_noticed_and_healed(bench: Bench, line: Line, ear: Callbacks) -> None:
    bench.story()
    [frozen] = bench.state()["connections"]
    bench.post("/faults", {"api": "ws.ping", "kind": "hang", "times": 1})
    until(lambda: ear.health().losses == 1)
    assert "silent" in ear.health().reason
    until(lambda: ear.health().state == "open")
    gc.collect()  # a socket that was left open shows here, as a warning
    bench.post("/connections/drop", {"id": frozen["id"]})  # else the far side may still choose it for a push
    assert press(bench, value={"ticket": NO, "action": "respond", "cycle": 1})["code"] == 0


def test_threads_end_with_their_owner(bench: Bench, line: Line, ear: Callbacks) -> None:
    before = time.monotonic()
    ear.stop()
    assert time.monotonic() - before < 2
    until(lambda: not [t for t in threading.enumerate() if t.name in ("feishu-keeper", "feishu-ws")])
