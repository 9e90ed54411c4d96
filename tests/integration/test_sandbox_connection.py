"""The real lark-oapi long connection against the sandbox: clicks and their toasts, repeated events, silent deaths."""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from agent.clock import ManualClock
from agent.sandbox.local import LocalSandbox
from agent.sandbox.push import frames
from agent.sandbox.world import groups, messages
from agent.sandbox.world.people import load_directory
from agent.sandbox.world.things import Message
from agent.sandbox.world.world import AppSettings, SandboxWorld

FAST = {"ReconnectCount": -1, "ReconnectInterval": 1, "ReconnectNonce": 0, "PingInterval": 1}
TICKET = "SZ1-E3-261122-007"
VALUE = {"ticket": TICKET, "action": "respond", "cycle": 1}


@pytest.fixture(scope="module")
def lark() -> ModuleType:
    import lark_oapi

    return lark_oapi


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 23, 4, tzinfo=UTC))


@pytest.fixture
def sandbox(clock: ManualClock) -> Iterator[LocalSandbox]:
    app = AppSettings(app_id=f"cli_{uuid.uuid4().hex[:16]}", client_config=FAST)
    with LocalSandbox(SandboxWorld(clock, load_directory(None, app.app_id), app)) as running:
        yield running


class Agent:
    """The SDK's websocket client in a thread and loop of its own, as the agent runs it."""

    def __init__(self, lark: ModuleType, sandbox: LocalSandbox) -> None:
        self.lark, self.sandbox = lark, sandbox
        self.clicks: list[Any] = []
        self.received: list[Any] = []
        self.answer: Callable[[Any], Any] = lambda click: {"toast": {"type": "success", "content": "已响应"}}
        self.broken = False
        self.loop = asyncio.new_event_loop()

    def _click(self, data: Any) -> Any:
        from lark_oapi.event.callback.model.p2_card_action_trigger import P2CardActionTriggerResponse

        self.clicks.append(data)
        return P2CardActionTriggerResponse(self.answer(data))

    def _message(self, data: Any) -> None:
        self.received.append(data)
        if self.broken:
            raise ValueError("handler failed")

    def __enter__(self) -> Agent:
        import lark_oapi.ws.client as ws

        handler = (
            self.lark.EventDispatcherHandler.builder("", "")
            .register_p2_card_action_trigger(self._click)
            .register_p2_im_message_receive_v1(self._message)
            .register_p2_im_chat_disbanded_v1(self.received.append)
            .register_p2_im_chat_member_user_deleted_v1(self.received.append)
            .register_p2_contact_user_deleted_v3(self.received.append)
            .build()
        )
        app = self.sandbox.world.app
        ws.loop.close()  # the one it made when it was imported

        def run() -> None:
            asyncio.set_event_loop(self.loop)
            ws.loop = self.loop
            self.client = ws.Client(
                app.app_id,
                app.app_secret,
                event_handler=handler,
                domain=self.sandbox.url,
                log_level=self.lark.LogLevel.CRITICAL,
            )
            try:
                self.client.start()
            except RuntimeError:
                return  # the loop was stopped from outside: the SDK knows no other way
            finally:
                self.loop.run_until_complete(self._end())
                self.loop.close()

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()
        soon(lambda: self.sandbox.hub.connections)
        return self

    async def _end(self) -> None:
        """What the SDK has no word for: end its tasks, close its connection."""
        if self.client._conn is not None:
            await self.client._conn.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def __exit__(self, *_: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)


@pytest.fixture
def agent(lark: ModuleType, sandbox: LocalSandbox) -> Iterator[Agent]:
    with Agent(lark, sandbox) as running:
        yield running


def soon(what: Callable[[], Any], within_s: float = 5.0) -> Any:
    """The first true result."""
    until = time.monotonic() + within_s
    while not (result := what()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)
    return result


def control(sandbox: LocalSandbox, method: str, path: str, body: Any = None) -> Any:
    answer = httpx.request(method, f"{sandbox.url}/sandbox/api/{path}", json=body, timeout=10)
    return answer.json() | ({"status": answer.status_code} if answer.status_code != 200 else {})


def card(title: str, *more: dict[str, Any]) -> dict[str, Any]:
    button = {
        "tag": "button",
        "text": {"tag": "plain_text", "content": "我来处理"},
        "behaviors": [{"type": "callback", "value": VALUE}],
    }
    header = {"title": {"tag": "plain_text", "content": f"{title} {TICKET}"}}
    return {"schema": "2.0", "header": header, "body": {"elements": [button, *more]}}


FORM = {
    "tag": "form",
    "name": "contain",
    "elements": [
        {"tag": "input", "name": "text", "required": True, "label": {"tag": "plain_text", "content": "怎么遏制"}},
        {"tag": "date_picker", "name": "due"},
        {"tag": "select_person", "name": "owner"},
        {
            "tag": "button",
            "name": "send",
            "form_action_type": "submit",
            "text": {"tag": "plain_text", "content": "提交"},
            "behaviors": [{"type": "callback", "value": {**VALUE, "action": "contain"}}],
        },
    ],
}


def posted(sandbox: LocalSandbox, content: dict[str, Any]) -> Message:
    """A card in a group of two, put there directly."""

    def put() -> Message:
        world = sandbox.world
        people = [world.directory.people[number] for number in ("10021", "10022")]
        group = groups.create(world, {"name": TICKET}, None, people, None)
        return messages.send(world, group, "interactive", json.dumps(content), "log")

    return sandbox.call(put)


def press(sandbox: LocalSandbox, message: Message, **what: Any) -> Any:
    body = {
        "person": "10021",
        "message_id": message.message_id,
        **({"value": VALUE} | what if "name" not in what else what),
    }
    return control(sandbox, "POST", "press", body)


def test_frames_are_those_of_the_sdk(lark: ModuleType) -> None:
    from lark_oapi.ws.pb.pbbp2_pb2 import Frame

    mine = frames.Frame(frames.DATA, {"type": "event", "sum": "1"}, "载荷".encode(), 33554678, 300, 2**63)
    theirs = Frame()
    theirs.ParseFromString(frames.encode(mine))
    assert (theirs.SeqID, theirs.LogID, theirs.service, theirs.method) == (300, 2**63, 33554678, 1)
    assert ({h.key: h.value for h in theirs.headers}, theirs.payload) == (mine.headers, mine.payload)
    theirs.payload_encoding, theirs.LogIDNew, theirs.service = "gzip", "x", -1
    back = frames.decode(theirs.SerializeToString())
    assert (back.headers, back.payload, back.seq_id, back.log_id) == (mine.headers, mine.payload, 300, 2**63)


def test_a_click_reaches_the_agent_and_its_toast_the_presser(sandbox: LocalSandbox, agent: Agent) -> None:
    message = posted(sandbox, card("等响应"))
    agent.answer = lambda click: {
        "toast": {"type": "success", "content": "已响应"},
        "card": {"type": "raw", "data": card("已响应")},
    }
    outcome = press(sandbox, message)
    assert (outcome["code"], outcome["toast"], outcome["card_applied"]) == (
        0,
        {"type": "success", "content": "已响应"},
        True,
    )
    click = agent.clicks[0]
    person = sandbox.world.directory.people["10021"]
    assert (click.event.operator.open_id, click.event.operator.user_id) == (person.open_id, person.user_id)
    assert click.event.action.value == VALUE and click.event.action.tag == "button"
    assert click.event.context.open_message_id == message.message_id
    assert click.header.event_id == outcome["event_id"] and click.header.event_type == "card.action.trigger"
    shown = control(sandbox, "GET", f"messages/{message.message_id}")
    assert [v["how"] for v in shown["versions"]] == ["create", "click"] and shown["text"] == f"已响应 {TICKET}"
    assert shown["clicks"][0]["toast"]["content"] == "已响应"


def test_a_form_is_checked_by_the_client_and_sent_whole(sandbox: LocalSandbox, agent: Agent) -> None:
    message = posted(sandbox, card("等遏制", FORM))
    refused = press(sandbox, message, name="send", form_value={"due": "2026-11-24"})
    assert refused["status"] == 422 and refused["error"]["args"] == {"fields": ["怎么遏制"]}
    assert agent.clicks == []
    filled = {"text": "已隔离 B0417", "due": "2026-11-24", "owner": "10022"}
    assert press(sandbox, message, name="send", form_value=filled)["code"] == 0
    action = agent.clicks[0].event.action
    owner = sandbox.world.directory.people["10022"].open_id
    assert action.form_value == {"text": "已隔离 B0417", "due": "2026-11-24 +0800", "owner": owner}
    assert (action.name, action.timezone, action.value["action"]) == ("send", "Asia/Shanghai", "contain")


def test_an_answer_after_three_seconds_or_from_nobody_is_an_error_to_the_presser(
    sandbox: LocalSandbox, lark: ModuleType
) -> None:
    message = posted(sandbox, card("等响应"))
    assert press(sandbox, message)["code"] == 200340
    with Agent(lark, sandbox) as agent:
        agent.answer = lambda click: time.sleep(3.3) or {}
        started = time.monotonic()
        assert press(sandbox, message)["code"] == 200341
        assert 2.9 < time.monotonic() - started < 3.3
    assert len(agent.clicks) == 1, "a click is never pushed again"
    assert control(sandbox, "GET", "state")["counters"]["clicks"] == {
        "pressed": 2, "answered": 0, "late": 1, "nobody": 1, "failed": 0,
    }  # fmt: skip


def test_bad_answers_are_told_apart(sandbox: LocalSandbox, agent: Agent) -> None:
    message = posted(sandbox, card("等响应"))

    def fail(_: Any) -> Any:
        raise ValueError("handler failed")

    wrong = card("x")
    wrong["body"]["elements"].append({"tag": "note"})
    answers: dict[int, Callable[[Any], Any]] = {
        200671: fail,
        200672: lambda _: {"toast": {"type": "purple", "content": "x"}},
        200673: lambda _: {"card": {"type": "raw", "data": wrong}},
        200830: lambda _: {"card": {"type": "raw", "data": {"elements": []}}},
    }
    for code, answer in answers.items():
        agent.answer = answer
        assert press(sandbox, message)["code"] == code
    assert control(sandbox, "GET", f"messages/{message.message_id}")["version"] == 1


def test_a_card_being_pressed_cannot_be_updated(sandbox: LocalSandbox, agent: Agent) -> None:
    message = posted(sandbox, card("等响应"))
    refused: list[str] = []

    def update() -> None:
        group = sandbox.world.groups[message.chat_id]
        try:
            messages.patch(sandbox.world, message, group, json.dumps(card("已响应")), "log")
        except Exception as error:
            refused.append(str(error))

    def answer(_: Any) -> Any:
        sandbox.call(update)
        return {}

    agent.answer = answer
    assert press(sandbox, message)["code"] == 0
    assert len(refused) == 1 and "230099" in refused[0]
    sandbox.call(update)
    assert len(refused) == 1


def test_what_people_write_to_the_bot_arrives_once_answered(sandbox: LocalSandbox, agent: Agent) -> None:
    message = posted(sandbox, card("等响应"))
    said = {"person": "10022", "chat_id": message.chat_id, "text": "镜片在 2 号柜"}
    assert control(sandbox, "POST", "say", said)["event_id"] is None, "without @ a bot does not hear a group"
    sent = control(sandbox, "POST", "say", {**said, "text": "帮助", "mention_bot": True})
    soon(lambda: agent.received)
    event = agent.received[0].event
    assert event.message.message_id == sent["message_id"] and event.message.chat_type == "group"
    assert json.loads(event.message.content) == {"text": "@_user_1 帮助"}
    assert event.message.mentions[0].id.open_id == sandbox.world.bot_open_id
    assert event.sender.sender_id.open_id == sandbox.world.directory.people["10022"].open_id
    control(sandbox, "POST", "say", {"person": "10022", "text": "你好"})
    soon(lambda: len(agent.received) == 2)
    assert agent.received[1].event.message.chat_type == "p2p"
    soon(lambda: control(sandbox, "GET", "state")["counters"]["events"]["answered"] == 2)
    assert control(sandbox, "POST", "say", {**said, "person": "10099"})["status"] == 409


def test_an_event_is_pushed_again_on_schedule_until_answered(
    sandbox: LocalSandbox, agent: Agent, clock: ManualClock
) -> None:
    agent.broken = True
    control(sandbox, "POST", "say", {"person": "10022", "text": "你好"})
    for n, pause in enumerate((15.0, 300.0, 3600.0), start=1):
        soon(lambda n=n: len(agent.received) == n)
        soon(lambda: not sandbox.world.pushes.waiting[0].in_flight)
        clock.advance(pause - 1)
        time.sleep(0.25)
        assert len(agent.received) == n, "not before its time"
        agent.broken = n < 3
        clock.advance(1)
    soon(lambda: len(agent.received) == 4)
    soon(lambda: not sandbox.world.pushes.waiting)
    assert len({event.header.event_id for event in agent.received}) == 1
    counters = control(sandbox, "GET", "state")["counters"]["events"]
    assert (counters["sent"], counters["repeated"], counters["answered"]) == (4, 3, 1)


def test_events_wait_for_a_connection_and_come_double_on_demand(sandbox: LocalSandbox, lark: ModuleType) -> None:
    message = posted(sandbox, card("等响应"))
    control(sandbox, "POST", f"groups/{message.chat_id}/dissolve", {"person": "10021"})
    soon(lambda: sandbox.world.pushes.sent == 1)
    with Agent(lark, sandbox) as agent:
        sandbox.call(lambda: sandbox.world.clock.advance(15))  # type: ignore[attr-defined]
        soon(lambda: agent.received)
        assert agent.received[0].event.chat_id == message.chat_id
        control(sandbox, "POST", "faults", {"api": "ws.event", "kind": "double", "times": 1})
        control(sandbox, "POST", "people/10032/resign")
        soon(lambda: len(agent.received) == 3)
        assert agent.received[1].header.event_id == agent.received[2].header.event_id
        assert agent.received[1].event.object.employee_no == "10032"


def test_a_torn_connection_is_rebuilt_and_a_refused_endpoint_ends_it_silently(
    sandbox: LocalSandbox, agent: Agent
) -> None:
    first = next(iter(sandbox.hub.connections))
    assert control(sandbox, "POST", "connections/drop", {}) == {"dropped": 1}
    soon(lambda: [c for c in sandbox.hub.connections if c != first])
    control(sandbox, "POST", "faults", {"api": "ws.endpoint", "kind": "code", "code": 1000040350})
    control(sandbox, "POST", "connections/drop", {})
    soon(lambda: any(c["code"] == 1000040350 for c in control(sandbox, "GET", "calls")["calls"]))
    control(sandbox, "DELETE", "faults")
    time.sleep(1.5)
    assert not sandbox.hub.connections and agent.thread.is_alive(), "the SDK's silent death, as in the field"


def test_a_handshake_is_refused_with_the_headers_that_the_client_reads(sandbox: LocalSandbox) -> None:
    app = sandbox.world.app
    body = {"AppID": app.app_id, "AppSecret": app.app_secret}
    wrong = httpx.post(f"{sandbox.url}/callback/ws/endpoint", json={**body, "AppSecret": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (200, 1000040344)
    url = httpx.post(f"{sandbox.url}/callback/ws/endpoint", json=body).json()["data"]["URL"]
    with pytest.raises(InvalidStatus) as unknown:
        connect(url.replace("device_id=", "device_id=0"), proxy=None)
    assert unknown.value.response.headers["handshake-status"] == "514"
    fault = {"api": "ws.handshake", "kind": "code", "code": 514, "status": 1000040350, "times": 1}
    control(sandbox, "POST", "faults", fault)
    with pytest.raises(InvalidStatus) as full:
        connect(url, proxy=None)
    headers = full.value.response.headers
    assert (headers["handshake-status"], headers["handshake-autherrcode"]) == ("514", "1000040350")
    with connect(url, proxy=None):
        soon(lambda: sandbox.hub.connections)
    control(sandbox, "POST", "faults", {"api": "ws.endpoint", "kind": "hang"})
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{sandbox.url}/callback/ws/endpoint", json=body, timeout=0.4)


def test_a_half_open_connection_takes_clicks_and_never_answers(sandbox: LocalSandbox, agent: Agent) -> None:
    message = posted(sandbox, card("等响应"))
    soon(lambda: next(iter(sandbox.hub.connections.values())).last_ping_at)
    control(sandbox, "POST", "faults", {"api": "ws.ping", "kind": "hang"})
    soon(lambda: next(iter(sandbox.hub.connections.values())).frozen)
    assert press(sandbox, message)["code"] == 200341 and agent.clicks == []
    control(sandbox, "DELETE", "faults")
    assert press(sandbox, message)["code"] == 0
