"""Who may call what: tokens, badges, roles, hosts, origins."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from test_ui_world import World, opened

from agent.clock import ManualClock
from agent.plant.devices import revoke_device
from agent.plant.rows import device
from agent.records.tickets.service import history

RAISE = {"category": "welding", "severity": "watch", "station": "OP40"}
VIOLATION = {"event_id": "e1", "key": {"characteristic": "X"}, "rule": "N1"}
ROUTES = [
    ("GET", "/api/v1/kiosk", None),
    ("GET", "/api/v1/stream?station=nowhere", None),
    ("GET", "/api/v1/tickets", None),
    ("GET", "/api/v1/tickets/SZ1-E3-261122-001", None),
    ("GET", "/api/v1/blobs/" + "0" * 64, None),
    ("POST", "/api/v1/tickets", RAISE),
    ("POST", "/api/v1/tickets/SZ1-E3-261122-001/respond", {}),
    ("POST", "/api/v1/measurements", {"characteristic": "WIDTH", "values": [100]}),
    ("POST", "/api/v1/violations", VIOLATION),
    ("PUT", "/api/v1/blobs/" + "0" * 64, None),
]


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock) -> Iterator[World]:
    yield from opened(tmp_path, clock)


@pytest.mark.parametrize(("method", "path", "body"), ROUTES, ids=lambda value: str(value)[:40])
def test_nothing_works_without_a_good_token(world: World, method: str, path: str, body: object) -> None:
    world.raised()
    before = world.events()
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {world.kiosk}"}):
        answer = world.call(method, path, token=None, json=body, headers=headers)
        assert answer.status_code == 401, (headers, answer.text)
        error = answer.json()["error"]
        assert error["key"] == "api.token"
        assert error["text"].keys() == {"zh", "en"}
    assert world.events() == before


def test_the_table_of_roles(world: World) -> None:
    """Rows: kiosk and api token; columns: what each route answers to it. Nothing here is 401."""
    comment = f"/api/v1/tickets/{world.raised()['no']}/comment"
    found = {}
    for token in ("kiosk", "api"):
        found[token] = [
            world.call("GET", "/api/v1/kiosk", token=token).status_code,
            world.call("POST", "/api/v1/tickets", token=token, json=RAISE).status_code,
            world.call("POST", "/api/v1/measurements", token=token, json=ROUTES[7][2]).status_code,
            world.call("POST", "/api/v1/violations", token=token, json=VIOLATION).status_code,
            world.call("POST", comment, token=token, badge="20002", json={"text": "x"}).status_code,
        ]  # fmt: skip
    assert found == {"kiosk": [200, 201, 201, 200, 200], "api": [200, 201, 201, 200, 403]}


def test_a_revoked_token_is_dead_at_once(world: World) -> None:
    assert world.call("GET", "/api/v1/kiosk").status_code == 200
    world.store.submit(lambda conn: revoke_device(conn, world.clock.now(), "OP40-A")).result()
    assert world.call("GET", "/api/v1/kiosk").status_code == 401
    assert world.call("POST", "/api/v1/tickets", json=RAISE).status_code == 401
    assert world.call("GET", "/api/v1/kiosk", token="api").status_code == 200


def test_a_badge_names_a_person_who_is_here(world: World) -> None:
    body = {"category": "welding", "severity": "watch"}
    mine = world.call("POST", "/api/v1/tickets", badge="10001", json=body).json()
    nobody = world.call("POST", "/api/v1/tickets", json=body).json()
    assert (mine["reporter"], nobody["reporter"]) == ({"id": "10001", "name": "李强"}, None)
    before = world.events()
    for badge in ("77777", "90009", "%E8%B5%B5", "'; DROP TABLE person"):
        answer = world.call("POST", "/api/v1/tickets", badge=badge, json=body)
        assert (answer.status_code, answer.json()["error"]["key"]) == (403, "api.badge"), badge
    assert world.events() == before


def test_a_badge_makes_no_person_of_a_program(world: World) -> None:
    """It only says who reports; the rules would let 20002 respond."""
    no = world.raised()["no"]
    answer = world.call("POST", f"/api/v1/tickets/{no}/respond", token="api", badge="20002", json={})
    assert answer.status_code == 403
    told = world.call("POST", "/api/v1/tickets", token="api", badge="20002", json=RAISE).json()
    assert told["reporter"]["id"] == "20002"
    with world.store.read() as conn:
        event = history(conn, told["no"])[0]
    assert (event.actor.roles, event.actor.via, event.actor.device) == ({"api"}, "api", "spc-1")


def test_an_act_without_a_badge_is_refused_by_the_rules(world: World) -> None:
    no = world.raised()["no"]
    answer = world.call("POST", f"/api/v1/tickets/{no}/respond", json={})
    assert (answer.status_code, answer.json()["error"]["key"]) == (409, "tickets.refused.nobody")


def test_a_device_is_noted_as_seen_at_most_once_a_minute(world: World, clock: ManualClock) -> None:
    def seen() -> object:
        world.store.submit(lambda conn: None).result()  # after whatever was submitted before
        with world.store.read() as conn:
            return conn.execute(device.select().where(device.c.id == "OP40-A")).one().seen_at

    assert seen() is None
    world.call("GET", "/api/v1/tickets")
    first = seen()
    assert first == clock.now()
    clock.advance(59)
    world.call("GET", "/api/v1/tickets")
    assert seen() == first
    clock.advance(2)
    world.call("GET", "/api/v1/tickets")
    assert seen() == clock.now()


@pytest.mark.parametrize(
    ("host", "status"),
    [("kiosk.plant", 200), ("KIOSK.plant:8443", 200), ("127.0.0.1:1", 200), ("localhost", 200), ("evil.example", 421),
     ("kiosk.plant.evil.example:8443", 421), ("evil.example#kiosk.plant", 421), ("", 421), ("[::1]:8443", 421)],
)  # fmt: skip
def test_only_known_hosts_are_answered(world: World, host: str, status: int) -> None:
    for path in ("/api/v1/kiosk", "/healthz", "/api/openapi.json"):
        assert world.call("GET", path, headers={"Host": host}).status_code == status, path


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"Origin": "http://kiosk.plant:8443"}, 201), ({"Origin": "https://kiosk.plant:8443"}, 201),
     ({"Origin": "http://kiosk.plant"}, 403), ({"Origin": "http://evil.example"}, 403), ({"Origin": "null"}, 403),
     ({"Origin": ""}, 403), ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-origin"}, 201)],
)  # fmt: skip
def test_another_site_may_not_write(world: World, headers: dict[str, str], status: int) -> None:
    assert world.call("POST", "/api/v1/tickets", json=RAISE, headers=headers).status_code == status


def test_every_answer_carries_the_security_headers(world: World) -> None:
    for path in ("/api/v1/kiosk", "/healthz", "/nothing", "/api/nothing"):
        headers = world.call("GET", path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-opener-policy"] == "same-origin"
    assert world.call("GET", "/api/v1/kiosk").headers["cache-control"] == "no-store"
