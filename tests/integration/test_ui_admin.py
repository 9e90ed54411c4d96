"""The admin application behind the Unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_ui_world import World, opened

from agent.clock import ManualClock
from agent.outbox.queue import Item, balance, claim, enqueue, settle
from agent.store.audit import broken_at
from agent.store.metadata import audit
from agent.ui.admin import build_admin, build_relay_admin


class Admin:
    """The admin side of a world."""

    def __init__(self, world: World) -> None:
        self.world, self.app = world, build_admin(world.parts, {"echo": echo})

    def __call__(self, method: str, path: str, **more: Any) -> Any:
        return self.world.call(method, path, self.app, token=None, headers={"Host": "localhost"}, **more)

    def audited(self) -> list[str]:
        with self.world.store.read() as conn:
            assert broken_at(conn) is None
            return [row.action for row in conn.execute(audit.select().order_by(audit.c.id))]

    def balance(self) -> dict[str, int]:
        with self.world.store.read() as conn:
            return balance(conn)


async def echo(given: Any) -> Any:
    return given


@pytest.fixture
def admin(tmp_path: Path, clock: ManualClock) -> Iterator[Admin]:
    for world in opened(tmp_path, clock):
        yield Admin(world)


def test_a_device_is_enrolled_used_listed_and_revoked(admin: Admin) -> None:
    body = {"id": "OP50-A", "kind": "kiosk", "name": "终检", "station": "OP50"}
    token = admin("POST", "/v1/devices", json=body).json()["token"]
    assert admin.world.call("GET", "/api/v1/kiosk", token=token).json()["station"]["id"] == "OP50"
    listed = admin("GET", "/v1/devices").json()["devices"]
    assert [(d["id"], d["kind"], d["station"]) for d in listed] == [
        ("OP40-A", "kiosk", "OP40"), ("OP50-A", "kiosk", "OP50"), ("spc-1", "api", None)
    ]  # fmt: skip
    assert token not in str(listed)
    assert "hash" not in str(listed)
    assert admin("POST", "/v1/devices/OP50-A/revoke").status_code == 200
    assert admin.world.call("GET", "/api/v1/kiosk", token=token).status_code == 401
    assert admin("GET", "/v1/devices").json()["devices"][1]["revoked_at"]
    assert admin.audited() == ["device enrolled", "device revoked"]


def test_a_device_id_is_enrolled_once_until_it_is_revoked(admin: Admin) -> None:
    body = {"id": "OP40-A", "kind": "kiosk", "name": "again", "station": "OP40"}
    assert admin("POST", "/v1/devices", json=body).json()["error"]["key"] == "device.taken"
    admin("POST", "/v1/devices/OP40-A/revoke")
    assert admin("POST", "/v1/devices", json=body).status_code == 201
    assert admin.world.call("GET", "/api/v1/kiosk").status_code == 401  # the old token stays dead
    assert admin("POST", "/v1/devices/nobody/revoke").status_code == 404


@pytest.mark.parametrize("change", [{"station": "OP99"}, {"kind": "root"}, {"id": "a b"}, {"id": ""}, {"name": ""}])
def test_a_wrong_device_is_refused(admin: Admin, change: dict[str, str]) -> None:
    body = {"id": "X1", "kind": "kiosk", "name": "x", "station": "OP40", **change}
    assert admin("POST", "/v1/devices", json=body).status_code == 422
    assert admin.audited() == []


def kill_one(admin: Admin) -> str:
    """A dead item at the head of its lane; returns its uuid."""

    def job(conn: Any) -> str:
        now = admin.world.clock.now()
        uuid = enqueue(conn, now, Item("lane", "nudge", "ticket", {"person": "20002"}))
        enqueue(conn, now, Item("lane", "nudge", "ticket", {"person": "20002"}))
        row = claim(conn, now, "me", 10)[0]
        settle(conn, now, row.id, "dead", "no such chat")
        assert uuid is not None
        return uuid

    return admin.world.store.submit(job).result()


def test_a_dead_item_is_shown_and_sent_again(admin: Admin) -> None:
    uuid = kill_one(admin)
    dead = admin("GET", "/v1/outbox/list?state=dead").json()["items"]
    assert [(i["uuid"], i["reason"], i["kind"]) for i in dead] == [(uuid, "no such chat", "nudge")]
    assert "payload" not in dead[0]
    assert admin("POST", f"/v1/outbox/{uuid}/retry").json() == {"uuid": uuid, "state": "waiting"}
    assert admin("GET", "/v1/outbox/list?state=dead").json()["items"] == []
    again = admin("POST", f"/v1/outbox/{uuid}/retry")
    assert (again.status_code, again.json()["error"]["args"]["state"]) == (409, "waiting")
    assert admin.audited() == ["outbox item sent again"]
    assert admin.balance()["missing"] == 0


@pytest.mark.parametrize("which", ["dead", "waiting"])
def test_a_dropped_item_is_shed_counted_and_audited(admin: Admin, which: str) -> None:
    uuid = kill_one(admin)
    if which == "waiting":
        uuid = admin("GET", "/v1/outbox/list?state=waiting").json()["items"][0]["uuid"]
    before = admin.balance()
    answer = admin("POST", f"/v1/outbox/{uuid}/drop", json={"reason": "person left"})
    assert answer.json() == {"uuid": uuid, "state": "shed"}
    after = admin.balance()
    assert (after["shed"], after[which], after["missing"]) == (before["shed"] + 1, before[which] - 1, 0)
    shed = admin("GET", "/v1/outbox/list?state=shed").json()["items"]
    assert [(i["uuid"], i["reason"]) for i in shed] == [(uuid, "person left")]
    assert admin.audited() == ["outbox item dropped"]


def test_what_is_under_way_or_gone_cannot_be_dropped(admin: Admin) -> None:
    uuid = kill_one(admin)
    admin.world.store.submit(lambda conn: claim(conn, admin.world.clock.now(), "me", 10)).result()
    leased = admin("GET", "/v1/outbox/list?state=leased").json()["items"][0]["uuid"]
    assert admin("POST", f"/v1/outbox/{leased}/drop", json={"reason": "x"}).status_code == 409
    assert admin("POST", "/v1/outbox/unknown/drop", json={"reason": "x"}).status_code == 404
    assert admin("POST", f"/v1/outbox/{uuid}/drop", json={}).status_code == 422
    assert admin.audited() == []


def test_status_is_flat_figures_for_the_outbox_and_all_for_the_edge(admin: Admin) -> None:
    kill_one(admin)
    figures = admin("GET", "/v1/outbox/status").json()
    assert (figures["accepted"], figures["dead"], figures["waiting"], figures["missing"]) == (2, 1, 1, 0)
    assert figures["oldest_s"] == 0
    status = admin("GET", "/v1/status").json()
    assert (status["role"], status["ready"], status["link"]["up"]) == ("edge", True, False)
    assert status["sources"]["plc"]["stale"] is True
    assert status["outbox"]["missing"] == 0


def test_tickets_are_those_of_the_kiosk(admin: Admin) -> None:
    no = admin.world.raised()["no"]
    assert admin("GET", "/v1/tickets").json() == admin.world.call("GET", "/api/v1/tickets").json()
    assert admin("GET", f"/v1/tickets/{no}").json() == admin.world.call("GET", f"/api/v1/tickets/{no}").json()
    assert admin("GET", "/v1/tickets/NONE").status_code == 404


def test_actions_are_those_app_offers(admin: Admin) -> None:
    assert admin("POST", "/v1/actions/echo", json={"a": 1}).json() == {"result": {"a": 1}}
    assert admin("POST", "/v1/actions/other", json={}).status_code == 404


def test_the_relay_has_an_outbox_and_no_tickets(admin: Admin) -> None:
    relay = build_relay_admin(admin.world.store, admin.world.clock)

    async def ask() -> list[int]:
        return [(await admin.world.acall("GET", path, relay, token=None)).status_code
                for path in ("/v1/status", "/v1/outbox/status", "/v1/tickets", "/v1/devices")]  # fmt: skip

    assert asyncio.run(ask()) == [200, 200, 404, 404]
