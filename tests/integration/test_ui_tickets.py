"""Tickets over HTTP: raise, read, act, and each request once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from test_ui_world import World, opened

from agent.clock import ManualClock
from agent.store.write import StoreFull
from agent.ui.api import shapes

RAISE = {"category": "welding", "severity": "stop", "station": "OP40"}


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock) -> Iterator[World]:
    yield from opened(tmp_path, clock)


def step(world: World, no: str, action: str, badge: str, **more: Any) -> dict[str, Any]:
    """An act that is taken."""
    body = more.pop("json", {})
    answer = world.call("POST", f"/api/v1/tickets/{no}/{action}", badge=badge, json=body, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_ticket_goes_all_the_way_and_looks_as_documented(world: World) -> None:
    no = world.raised(description="飞溅多")["no"]
    assert no == "SZ1-E3-261122-001"
    assert step(world, no, "respond", "20002")["state"] == "RESPONDED"
    assert step(world, no, "contain", "20002", json={"text": "隔离 12 件"})["state"] == "CONTAINED"
    analysis = {"root_cause": "电极磨损", "countermeasure": "换电极", "owner": "20002", "due": "2026-11-30"}
    assert step(world, no, "analyse", "20002", json=analysis)["state"] == "ANALYSED"
    assert step(world, no, "implement", "20002", json={"text": "已换"})["state"] == "IMPLEMENTED"
    done = step(world, no, "verify", "30001", json={"result": "effective"})
    assert done["state"] == "VERIFIED"
    shapes.TicketOut.model_validate(done)
    detail = world.call("GET", f"/api/v1/tickets/{no}").json()
    shapes.TicketDetailOut.model_validate(detail)
    kinds = ["opened", "responded", "contained", "analysed", "implemented", "verified"]
    assert [line["kind"] for line in detail["history"]] == kinds
    assert detail["history"][0]["actor"] == {"id": "10001", "name": "李强"}


def test_the_list_pages_and_filters(world: World) -> None:
    numbers = [world.raised(station=s)["no"] for s in ("OP40", "OP50", "OP40")]
    first = world.call("GET", "/api/v1/tickets?limit=2").json()
    shapes.TicketsOut.model_validate(first)
    rest = world.call("GET", f"/api/v1/tickets?limit=2&after={first['next']}").json()
    assert [t["no"] for t in first["tickets"] + rest["tickets"]] == numbers[::-1]
    assert rest["next"] is None
    own = world.call("GET", "/api/v1/tickets?station=OP40").json()["tickets"]
    assert {t["no"] for t in own} == {numbers[0], numbers[2]}
    step(world, numbers[0], "cancel", "10001", json={"reason": "误报"})
    assert numbers[0] not in {t["no"] for t in world.call("GET", "/api/v1/tickets").json()["tickets"]}
    assert numbers[0] in {t["no"] for t in world.call("GET", "/api/v1/tickets?state=all").json()["tickets"]}


def test_the_answer_counts_the_messages_of_its_ticket(world: World) -> None:
    told = world.raised()
    with world.store.read() as conn:
        n = conn.exec_driver_sql("SELECT count(*) FROM outbox WHERE lane = ?", (told["no"],)).scalar_one()
    assert told["outbox"] == {"waiting": n, "delivered": 0, "dead": 0}
    assert n > 0


def test_what_the_rules_refuse_is_told_in_both_languages_and_changes_nothing(world: World) -> None:
    no = world.raised()["no"]
    before = world.events()
    answer = world.call("POST", f"/api/v1/tickets/{no}/implement", badge="20002", json={"text": "done"})
    error = answer.json()["error"]
    assert (answer.status_code, error["key"]) == (409, "tickets.refused.too_early")
    assert "遏制" in error["text"]["zh"] or "响应" in error["text"]["zh"]
    assert "too early" in error["text"]["en"].lower()
    assert world.events() == before


def test_an_unknown_ticket_is_404(world: World) -> None:
    for method, path, body in (("GET", "", None), ("POST", "/respond", {})):
        answer = world.call(method, f"/api/v1/tickets/SZ1-E3-261122-999{path}", badge="20002", json=body)
        assert (answer.status_code, answer.json()["error"]["key"]) == (404, "tickets.refused.unknown")


@pytest.mark.parametrize(
    "body",
    [{"category": "nonsense", "severity": "stop"}, {"category": "welding", "severity": "stop", "station": "OP99"},
     {"category": "welding", "severity": "stop", "characteristic": "NOPE"}, {"category": "welding", "severity": "bad"},
     {"severity": "stop"}, {"category": "welding", "severity": "stop", "colour": "red"},
     {"category": "welding", "severity": "stop", "description": "x" * 2001},
     {"category": "welding", "severity": "stop", "photos": ["f" * 64]},
     {"category": "welding", "severity": "stop", "photos": ["../../etc/passwd"]}],
)  # fmt: skip
def test_a_report_that_can_never_be_taken_is_422(world: World, body: dict[str, Any]) -> None:
    """The tablet sets it aside and shows why; with 409 it would try for ever."""
    answer = world.call("POST", "/api/v1/tickets", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["text"]["zh"]
    assert world.events() == 0


def test_the_same_key_gives_the_same_answer_and_one_ticket(world: World, clock: ManualClock) -> None:
    key = str(uuid4())
    first = world.call("POST", "/api/v1/tickets", key=key, badge="10001", json=RAISE)
    clock.advance(timedelta(hours=3))
    again = world.call("POST", "/api/v1/tickets", key=key, badge="10001", json=RAISE)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert "Idempotent-Replay" not in first.headers
    assert again.headers["Idempotent-Replay"] == "true"
    assert world.events() == 1


def test_the_same_key_with_other_content_is_422(world: World) -> None:
    key = str(uuid4())
    no = world.call("POST", "/api/v1/tickets", key=key, json=RAISE).json()["no"]
    other = world.call("POST", "/api/v1/tickets", key=key, json={**RAISE, "severity": "watch"})
    elsewhere = world.call("POST", f"/api/v1/tickets/{no}/comment", key=key, badge="20002", json={"text": "x"})
    assert [other.status_code, elsewhere.status_code] == [422, 422]
    assert other.json()["error"]["key"] == "api.key_reused"
    assert world.events() == 1


def test_a_key_belongs_to_its_device(world: World) -> None:
    key = str(uuid4())
    mine = world.call("POST", "/api/v1/tickets", key=key, json=RAISE).json()["no"]
    theirs = world.call("POST", "/api/v1/tickets", key=key, token="api", json=RAISE).json()["no"]
    assert mine != theirs


def test_twenty_at_once_with_one_key_make_one_ticket(world: World) -> None:
    key = str(uuid4())

    async def all_at_once() -> list[Any]:
        return await asyncio.gather(
            *(world.acall("POST", "/api/v1/tickets", key=key, badge="10001", json=RAISE) for _ in range(20))
        )

    answers = asyncio.run(all_at_once())
    assert {a.status_code for a in answers} == {201}
    assert len({a.content for a in answers}) == 1
    assert sum("Idempotent-Replay" not in a.headers for a in answers) == 1
    assert world.events() == 1


def test_an_event_id_used_for_another_act_is_another_event(world: World) -> None:
    """Answering 200 without doing anything would lose the act."""
    first, second = world.raised()["no"], world.raised()["no"]
    same = {"event_id": "1"}
    assert step(world, first, "respond", "20002", json=same)["state"] == "RESPONDED"
    assert step(world, second, "respond", "20002", json=same)["state"] == "RESPONDED"
    assert step(world, second, "contain", "20002", json=same | {"text": "隔离"})["state"] == "CONTAINED"
    assert step(world, second, "contain", "20002", json=same | {"text": "隔离"})["state"] == "CONTAINED"


def test_a_step_is_done_once_without_a_key_too_if_it_has_an_event_id(world: World) -> None:
    no = world.raised()["no"]
    for _ in range(3):
        step(world, no, "comment", "20002", json={"text": "看过了", "event_id": "tablet-1"})
    detail = world.call("GET", f"/api/v1/tickets/{no}").json()
    assert [line["kind"] for line in detail["history"]] == ["opened", "commented"]


def test_a_refused_step_is_judged_anew_when_it_is_sent_again(world: World) -> None:
    no, key = world.raised()["no"], str(uuid4())
    early = world.call("POST", f"/api/v1/tickets/{no}/contain", key=key, badge="10001", json={"text": "停"})
    assert early.status_code == 409  # who reported it cannot give the first response
    step(world, no, "respond", "20002")
    step(world, no, "reassign", "20002", json={"to": "10001"})
    assert step(world, no, "contain", "10001", key=key, json={"text": "停"})["state"] == "CONTAINED"


def test_an_act_that_waited_on_the_tablet_counts_when_it_was_entered(world: World, clock: ManualClock) -> None:
    no = world.raised()["no"]
    entered = clock.now() + timedelta(minutes=30)
    clock.advance(timedelta(hours=4))
    told = step(world, no, "respond", "20002", headers={"X-Andon-Entered-At": entered.isoformat()})
    assert told["strip"][0]["mark"] == "met"
    assert told["strip"][0]["stopped_at"] == entered.isoformat()


@pytest.mark.parametrize("shift", [timedelta(hours=1), timedelta(days=-8)])
def test_an_impossible_time_of_entry_counts_as_now(world: World, clock: ManualClock, shift: timedelta) -> None:
    no = world.raised()["no"]
    clock.advance(timedelta(hours=1))
    entered = (clock.now() + shift).isoformat()
    told = step(world, no, "respond", "20002", headers={"X-Andon-Entered-At": entered})
    assert told["strip"][0]["stopped_at"] == clock.now().isoformat()


def test_a_full_store_is_503_and_keeps_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise StoreFull("the disk does not take it")

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "submit", full)
        answer = world.call("POST", "/api/v1/tickets", json=RAISE)
    assert (answer.status_code, answer.json()["error"]["key"]) == (503, "api.busy")
    assert int(answer.headers["Retry-After"]) > 0
    assert world.events() == 0


def test_the_snapshot_is_whole_and_looks_as_documented(world: World) -> None:
    mine, other = world.raised()["no"], world.raised(station="OP50")["no"]
    own = world.call("GET", "/api/v1/kiosk").json()
    shapes.SnapshotOut.model_validate(own)
    assert (own["station"]["id"], own["device"]["name"]) == ("OP40", "OP40 左")
    assert [t["id"] for t in own["tiles"]] == ["WIDTH"]
    assert [t["no"] for t in own["tickets"]] == [mine]
    assert {p["id"] for p in own["people"]} == {"10001", "20001", "20002", "30001"}
    assert own["respond_s"] == 2 * 3600
    assert own["tickets"][0]["strip"][0]["name"]["args"]["amount"] == {"key": "tickets.amount.h", "args": {"n": 2}}
    line = world.call("GET", "/api/v1/kiosk", token="api").json()
    assert [t["no"] for t in line["tickets"]] == [other, mine]
    assert line["station"] == {"id": "", "name": {"zh": "全线", "en": "Whole line"}}
    assert line["office"]["waiting"] > 0
    assert line["sources"] == {"total": 1, "good": 0}
    assert world.call("GET", "/api/v1/kiosk?station=OP99").status_code == 422


def test_a_report_that_waited_on_the_tablet_counts_from_when_it_was_entered(world: World) -> None:
    now = world.clock.now()
    body = {"category": "welding", "severity": "watch"}
    for hours, counts in ((3, True), (-1, False), (24 * 8, False)):
        entered = (now - timedelta(hours=hours)).isoformat()
        answer = world.call("POST", "/api/v1/tickets", json=body, headers={"X-Andon-Entered-At": entered})
        assert answer.status_code == 201
        raised = datetime.fromisoformat(answer.json()["raised_at"])
        assert raised == (now - timedelta(hours=hours) if counts else now)
