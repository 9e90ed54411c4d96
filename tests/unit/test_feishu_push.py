"""Pushes without a socket: JSON → Click, Verdict → JSON, and in time whatever the caller does."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from test_feishu_fake import NO, START, TZ

from agent.clock import ManualClock
from agent.model import Click, Verdict, text
from agent.sinks.feishu.callbacks.answers import CLICK, as_click, is_quiet, moment, read_push
from agent.sinks.feishu.callbacks.handler import Handler
from agent.sinks.feishu.settings import FeishuSettings

PERSON = {"ou_7": "104417"}.get


def pushed(kind: str = CLICK, event: dict[str, Any] | None = None, **action: Any) -> bytes:
    value = {"ticket": NO, "action": "respond", "cycle": 1}
    click = {
        "operator": {"open_id": "ou_1", "union_id": "on_1"}, "token": "c-1",
        "action": {"tag": "button", "value": value, **action},
        "context": {"open_message_id": "om_1", "open_chat_id": "oc_1"},
    }  # fmt: skip
    header = {"event_id": "e1", "event_type": kind, "create_time": "1795315200000000", "token": "x"}
    return json.dumps({"schema": "2.0", "header": header, "event": event if event is not None else click}).encode()


def click_of(payload: bytes) -> Click | None:
    push = read_push(payload, "frame-1")
    assert push is not None and push.kind == CLICK
    return as_click(push, PERSON)


def test_a_button_is_a_click() -> None:
    value = {"ticket": NO, "action": "respond", "cycle": 1}
    at = datetime(2026, 11, 22, 2, 40, tzinfo=UTC)
    assert click_of(pushed()) == Click("e1", "ou_1", None, value, {}, "om_1", "oc_1", at)


def test_a_form_comes_back_in_the_plants_words() -> None:
    form = {
        "analyse__multiline__root_cause": "镜片 __脏__", "analyse__person__owner": "ou_7",
        "analyse__person__to": "ou_x",
        "analyse__date__due": "2026-11-25 +0800", "analyse__select__why": "m", "plain": "1", "analyse__submit": "?",
    }  # fmt: skip
    click = click_of(pushed(form_value=form))
    assert click is not None and click.form == {
        "root_cause": "镜片 __脏__", "owner": "104417", "due": "2026-11-25", "to": "ou_x", "why": "m", "plain": "1",
        "analyse__submit": "?",
    }  # fmt: skip


def test_a_choice_that_is_a_button_of_its_own_counts_as_filled_in() -> None:
    click = click_of(pushed(value={"ticket": NO, "action": "verify", "cycle": 2, "result": "effective"}))
    assert click is not None and click.form == {"result": "effective"} and click.value["cycle"] == 2


def test_a_value_that_an_old_client_wrote_as_a_string_is_read() -> None:
    click = click_of(pushed(value=json.dumps({"ticket": NO, "action": "cancel"})))
    assert click is not None and click.value["action"] == "cancel"


@pytest.mark.parametrize("value", [None, {}, {"ticket": NO}, {"action": "x"}, "x", {"ticket": 1, "action": "y"}, [1]])
def test_what_is_none_of_our_buttons_is_no_click(value: Any) -> None:
    assert click_of(pushed(value=value)) is None


def test_a_push_of_a_strange_shape_is_no_click() -> None:
    for event in ({}, {"action": "x"}, {"action": [1], "operator": 3}, {"operator": {"open_id": 5}, "action": {}}):
        assert click_of(pushed(event=event)) is None and not is_quiet(read_push(pushed(event=event), "f"))


def test_an_old_card_frame_is_a_click_too() -> None:
    old = {"open_id": "ou_1", "user_id": "u1", "open_message_id": "om_1", "open_chat_id": "oc_1", "token": "c-9",
           "action": {"tag": "button", "value": {"ticket": NO, "action": "respond"}}}  # fmt: skip
    click = click_of(json.dumps(old).encode())
    assert click is not None and (click.event_id, click.open_id, click.user_id, click.chat_id) == (
        "c-9",
        "ou_1",
        "u1",
        "oc_1",
    )


def test_messages_are_recognised_by_message_id() -> None:
    push = read_push(pushed("im.message.receive_v1", {"message": {"message_id": "om_5"}}), "f")
    assert push is not None and push.id == "om_5"


@pytest.mark.parametrize(
    "junk", [b"", b"x", b"[]", b"{}", b'{"header":1,"event":{}}', b"\xff", b'{"schema":"2.0","header":{}}']
)
def test_junk_is_no_push(junk: bytes) -> None:
    assert read_push(junk, "f") is None


@pytest.mark.parametrize("stamp", ["1795315200", "1795315200000", 1795315200000000, "1795315200000000"])
def test_times_come_in_three_grains(stamp: object) -> None:
    assert moment(stamp) == datetime.fromtimestamp(1795315200, UTC)


def test_no_time_is_no_time() -> None:
    assert [moment(x) for x in (None, "", "0", "12:20", "9" * 30)] == [None] * 5


class App:
    """What the app gives: futures that tests resolve."""

    def __init__(self) -> None:
        self.clicks: list[Click] = []
        self.events: list[tuple[str, Any, str]] = []
        self.verdict: Callable[[], Future[Verdict]] = lambda: resolved(Verdict("success", text("click.received")))
        self.stored: Callable[[], Future[None]] = lambda: resolved(None)
        self.card: Callable[[Any], dict[str, Any]] = lambda neutral: {"schema": "2.0", "of": neutral["no"]}

    def on_click(self, click: Click) -> Future[Verdict]:
        self.clicks.append(click)
        return self.verdict()

    def on_event(self, kind: str, event: Any, event_id: str) -> Future[None]:
        self.events.append((kind, event, event_id))
        return self.stored()


def resolved(value: Any) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(value) if isinstance(value, Exception) else future.set_result(value)
    return future


@pytest.fixture
def app() -> App:
    return App()


@pytest.fixture
def handler(app: App, tmp_path: Path) -> Iterator[Handler]:
    settings = FeishuSettings(app_id="a", app_secret_file=tmp_path, click_wait_s=0.2)
    with ThreadPoolExecutor(32) as pool:
        yield Handler(settings, ManualClock(START), TZ, pool, app.on_click, app.on_event, lambda c: app.card(c), PERSON)


def ask(handler: Handler, *payloads: bytes) -> list[tuple[int, Any]]:
    async def all_of_them() -> list[tuple[int, Any]]:
        return await asyncio.gather(*(handler.answer(p, f"f{n}") for n, p in enumerate(payloads)))

    return asyncio.run(all_of_them())


def test_a_verdict_is_a_toast_and_a_card(handler: Handler, app: App) -> None:
    app.verdict = lambda: resolved(Verdict("error", text("feishu.reduced", no=NO), {"no": NO, "blocks": []}))
    [(status, answer)] = ask(handler, pushed())
    assert status == 200 and answer["card"] == {"type": "raw", "data": {"schema": "2.0", "of": NO}}
    assert answer["toast"]["type"] == "error" and NO in answer["toast"]["content"]
    assert set(answer["toast"]["i18n"]) == {"zh_cn", "en_us"} and "Ticket" in answer["toast"]["i18n"]["en_us"]


def test_a_click_that_nobody_took_in_time_is_not_called_received(handler: Handler, app: App) -> None:
    late: Future[Verdict] = Future()
    app.verdict = lambda: late
    before = time.monotonic()
    [(status, answer)] = ask(handler, pushed())
    assert status == 200 and time.monotonic() - before < 1
    assert answer["toast"]["type"] == "warning" and answer["toast"]["content"].startswith("还没存好")
    assert not late.cancelled(), "the click is taken all the same"


def test_twenty_clicks_at_once_wait_beside_each_other(handler: Handler, app: App) -> None:
    app.verdict = Future
    before = time.monotonic()
    answers = ask(handler, *[pushed()] * 20)
    assert time.monotonic() - before < 1 and len(app.clicks) == 20
    assert all(answer["toast"]["content"].startswith("还没存好") for _, answer in answers)


def test_an_app_that_blocks_does_not_block_the_loop(handler: Handler, app: App) -> None:
    gate = threading.Event()
    app.verdict = lambda: resolved(Verdict("success", "x") if gate.wait(2) else Verdict("info", "y"))

    async def both() -> Any:
        slow = asyncio.create_task(handler.answer(pushed(), "f"))
        quick = await handler.answer(pushed("im.chat.disbanded_v1", {"chat_id": "oc_1"}), "g")
        first = slow.done()
        gate.set()
        return first, quick, await slow

    first, quick, (status, answer) = asyncio.run(both())
    assert not first and quick == (200, None) and status == 200 and answer["toast"]["content"] == "x"


def test_a_click_that_cannot_be_taken_says_so(handler: Handler, app: App) -> None:
    app.verdict = lambda: resolved(OSError("store is full"))
    [(status, answer)] = ask(handler, pushed())
    assert status == 200 and answer["toast"]["type"] == "error" and "card" not in answer


def test_a_card_that_cannot_be_drawn_leaves_the_toast(handler: Handler, app: App) -> None:
    app.verdict = lambda: resolved(Verdict("success", "ok", {"bad": 1}))
    [(status, answer)] = ask(handler, pushed())
    assert status == 200 and answer["toast"]["content"] == "ok" and "card" not in answer


def test_strange_levels_become_info(handler: Handler, app: App) -> None:
    app.verdict = lambda: resolved(Verdict("loud", "ok"))
    assert ask(handler, pushed())[0][1]["toast"]["type"] == "info"


def test_foreign_buttons_and_quiet_ones_reach_nobody(handler: Handler, app: App) -> None:
    foreign, quiet = ask(handler, pushed(value={"x": 1}), pushed(value={"quiet": True}))
    assert foreign[1]["toast"]["type"] == "error" and quiet == (200, {}) and app.clicks == []


def test_events_are_answered_once_they_are_safe(handler: Handler, app: App) -> None:
    event = {"message": {"message_id": "om_5", "content": "{}"}}
    assert ask(handler, pushed("im.message.receive_v1", event)) == [(200, None)]
    assert app.events == [("im.message.receive_v1", event, "om_5")]
    app.stored = lambda: resolved(OSError("disk"))
    assert ask(handler, pushed("im.message.receive_v1", event)) == [(500, None)]
    app.stored = Future
    assert ask(handler, pushed("im.message.receive_v1", event)) == [(500, None)]


def test_other_events_and_junk_are_accepted_and_forgotten(handler: Handler, app: App) -> None:
    assert ask(handler, pushed("vc.meeting.ended_v1", {}), b"junk") == [(200, None)] * 2
    assert app.events == []
