"""Measurements and violations over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from test_ui_world import World, opened

from agent.clock import ManualClock
from agent.ui.api import shapes


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock) -> Iterator[World]:
    yield from opened(tmp_path, clock)


def measure(world: World, values: list[float], characteristic: str = "WIDTH", **more: Any) -> Any:
    body = {"characteristic": characteristic, "values": values}
    return world.call("POST", "/api/v1/measurements", badge="10001", json=body, **more)


def points(world: World) -> int:
    with world.store.read() as conn:
        return conn.exec_driver_sql(
            "SELECT count(seq) FROM (SELECT seq FROM point UNION ALL SELECT seq FROM journal)"
        ).scalar_one()


def test_a_good_value_is_a_point_on_the_tile(world: World) -> None:
    answer = measure(world, [101.5])
    shapes.MeasureOut.model_validate(answer.json())
    tile = answer.json()["tile"]
    assert (answer.status_code, tile["value"], tile["quality"], tile["attention"]) == (201, 101.5, "good", "none")
    assert [p["y"] for p in tile["points"]] == [101.5]
    assert (tile["center"], tile["lcl"], tile["ucl"]) == (100, 94, 106)
    assert answer.json()["violations"] == []


def test_a_value_beyond_the_limit_opens_a_ticket_and_lights_the_tile(world: World) -> None:
    answer = measure(world, [120.0]).json()
    assert answer["ticket"] == "SZ1-E3-261122-001"
    assert "N1" in answer["violations"][0]["rules"]
    tile = world.call("GET", "/api/v1/kiosk").json()["tiles"][0]
    assert (tile["attention"], tile["violation"]["ticket"]) == ("now", answer["ticket"])
    measure(world, [100.0])
    assert world.call("GET", "/api/v1/kiosk").json()["tiles"][0]["attention"] == "now"  # latched
    world.call("POST", f"/api/v1/tickets/{answer['ticket']}/respond", badge="20002", json={})
    asyncio.run(world.pipeline.refresh_latches())  # as the edge does after each commit that touched one
    assert world.call("GET", "/api/v1/kiosk").json()["tiles"][0]["attention"] == "none"


@pytest.mark.parametrize("value", [1e308, -1e150, 10**400])
def test_a_number_no_chart_can_take_is_refused_before_it_enters_a_subgroup(world: World, value: float) -> None:
    body = f'{{"characteristic": "GAP", "values": [{value}]}}'
    headers = {"content-type": "application/json"}
    answer = world.call("POST", "/api/v1/measurements", badge="10001", content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text
    assert measure(world, [99.0, 100.0, 101.0], "GAP").json()["tile"]["value"] == 100.0


def test_a_subgroup_may_come_in_parts(world: World) -> None:
    open_values = [measure(world, [v], "GAP", key=str(uuid4())).json()["tile"]["open"] for v in (99.0, 100.0, 101.0)]
    assert open_values == [[99.0], [99.0, 100.0], []]
    tile = world.call("GET", "/api/v1/kiosk?station=OP50").json()["tiles"][0]
    assert (tile["value"], tile["stat"], tile["n"]) == (100.0, "mean", 3)


def test_a_repeated_measurement_is_one_point(world: World) -> None:
    key = str(uuid4())
    first, again = measure(world, [120.0], key=key), measure(world, [120.0], key=key)
    assert again.headers["Idempotent-Replay"] == "true"
    for part in ("violations", "ticket"):
        assert again.json()[part] == first.json()[part]
    assert points(world) == 1
    assert measure(world, [121.0], key=key).status_code == 422
    assert points(world) == 1


def test_without_a_key_each_is_new(world: World) -> None:
    measure(world, [100.0])
    measure(world, [100.0])
    assert points(world) == 2


@pytest.mark.parametrize(
    "body",
    [{"characteristic": "NOPE", "values": [1]}, {"characteristic": "WIDTH", "values": [1, 2]},
     {"characteristic": "GAP", "values": [1, 2, 3, 4]}, {"characteristic": "WIDTH", "values": []},
     {"characteristic": "WIDTH", "values": ["1"]}, {"characteristic": "WIDTH", "values": [True]},
     {"characteristic": "WIDTH", "values": [None]}, {"characteristic": "WIDTH", "values": 1},
     {"characteristic": "WIDTH"}, {"values": [1]}, {}, [], 1, "x", None],
)  # fmt: skip
def test_what_cannot_be_charted_is_422_and_leaves_the_chart_alone(world: World, body: Any) -> None:
    measure(world, [100.0])
    answer = world.call("POST", "/api/v1/measurements", json=body)
    assert answer.status_code == 422, answer.text
    assert points(world) == 1


def violation(n: int, **more: Any) -> dict[str, Any]:
    return {"event_id": f"e{n}", "key": {"station": "OP40", "characteristic": "TORQUE"}, "rule": "N1", **more}


def test_one_problem_is_one_ticket_however_often_it_is_handed_in(world: World) -> None:
    first = world.call("POST", "/api/v1/violations", token="api", json=violation(1)).json()
    many = {"violations": [violation(n, rule=f"N{n}") for n in range(1, 5)]}
    results = world.call("POST", "/api/v1/violations", token="api", json=many).json()["results"]
    shapes.ResultsOut.model_validate({"results": results})
    assert first["results"][0]["result"] == "opened"
    assert [r["result"] for r in results] == ["duplicate", "appended", "appended", "appended"]
    assert {r["ticket"] for r in results} == {first["results"][0]["ticket"]}
    assert [r["event_id"] for r in results] == ["e1", "e2", "e3", "e4"]
    detail = world.call("GET", f"/api/v1/tickets/{results[0]['ticket']}").json()
    assert detail["occurrences"] == 4
    assert len(detail["occurrence_list"]) == 4


def test_a_station_that_is_not_of_the_site_is_refused_with_those_that_are(world: World) -> None:
    answer = world.call("POST", "/api/v1/violations", token="api", json=violation(1, key={"station": "NOPE"}))
    error = answer.json()["error"]
    assert (answer.status_code, error["key"]) == (422, "api.violation_station")
    assert error["args"] == {"field": "key.station", "station": "NOPE", "known": "OP40, OP50"}
    assert error["text"]["en"].startswith('key.station = "NOPE" is wrong: there is no such station. Take one of OP40')
    assert world.events() == 0


def test_a_list_with_one_strange_station_changes_nothing_and_names_its_place(world: World) -> None:
    strange = violation(2, key={"station": "OP41", "characteristic": "TORQUE"})
    key = str(uuid4())
    answer = world.call("POST", "/api/v1/violations", token="api", key=key,
                        json={"violations": [violation(1), strange, violation(3)]})  # fmt: skip
    assert answer.status_code == 422
    assert answer.json()["error"]["args"]["field"] == "violations.1.key.station"
    assert world.events() == 0
    good = {"violations": [violation(1), violation(3)]}
    results = world.call("POST", "/api/v1/violations", token="api", key=key, json=good).json()["results"]
    assert [r["result"] for r in results] == ["opened", "appended"]


def test_two_callers_may_count_alike(world: World) -> None:
    def result(token: str, **more: Any) -> tuple[str, str]:
        (told,) = world.call("POST", "/api/v1/violations", token=token, json=violation(1, **more)).json()["results"]
        return told["event_id"], told["result"]

    assert result("api") == ("e1", "opened")
    assert result("kiosk") == ("e1", "appended")
    assert result("api") == result("kiosk") == ("e1", "duplicate")
    with world.store.read() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM occurrence").scalar_one() == 2


def test_a_violation_of_a_configured_characteristic_has_its_category(world: World) -> None:
    def category(characteristic: str) -> str:
        body = {"event_id": characteristic, "key": {"characteristic": characteristic}, "rule": "N1"}
        (told,) = world.call("POST", "/api/v1/violations", token="api", json=body).json()["results"]
        return world.call("GET", f"/api/v1/tickets/{told['ticket']}").json()["category"]

    assert [category("WIDTH"), category("TORQUE")] == ["welding", "other"]


def test_what_the_key_leaves_out_is_this_site(world: World) -> None:
    bare = {"event_id": "a", "rule": "N1", "key": {"characteristic": "TORQUE", "station": "OP40"}}
    full = {"event_id": "b", "rule": "N1", "key": {"site": "SZ1", "line": "L3", "station": "OP40", "part_no": "",
                                                   "characteristic": "TORQUE", "stream": ""}}  # fmt: skip
    tickets = [world.call("POST", "/api/v1/violations", json=v).json()["results"][0]["ticket"] for v in (bare, full)]
    assert tickets[0] == tickets[1]


def test_five_hundred_fit_and_one_more_does_not(world: World) -> None:
    full = {"violations": [violation(n, at="2026-11-22T01:00:00.000000+00:00", value=1.25) for n in range(500)]}
    answer = world.call("POST", "/api/v1/violations", token="api", json=full)
    assert (answer.status_code, len(answer.json()["results"])) == (200, 500)
    more = {"violations": [violation(n) for n in range(501)]}
    assert world.call("POST", "/api/v1/violations", token="api", json=more).status_code == 422


@pytest.mark.parametrize(
    "body",
    [violation(1, at="2026-11-22T01:00:00"), violation(1, at="yesterday"), violation(1, value="high"),
     violation(1, rule=""), violation(1, colour="red"), {"violations": []}, {"violations": [{}]}, {}],
)  # fmt: skip
def test_a_violation_that_is_none_is_422(world: World, body: dict[str, Any]) -> None:
    assert world.call("POST", "/api/v1/violations", token="api", json=body).status_code == 422
    assert world.events() == 0


def test_a_time_ahead_of_ours_is_now(world: World, clock: ManualClock) -> None:
    body = violation(1, at="2031-01-01T00:00:00Z")
    no = world.call("POST", "/api/v1/violations", json=body).json()["results"][0]["ticket"]
    assert world.call("GET", f"/api/v1/tickets/{no}").json()["last_at"] == clock.now().isoformat()


@pytest.mark.parametrize(
    "at", ["0001-01-01T00:00:00+14:00", "1970-01-01T00:00:00Z", "2026-11-24", 0, -62135596800, "0"]
)
def test_a_time_that_no_clock_had_is_refused_and_stays_out_of_the_store(world: World, at: Any) -> None:
    """The first of these once could be stored and not be read again: the edge ended, at every start."""
    answer = world.call("POST", "/api/v1/violations", token="api", json=violation(1, at=at))
    assert (answer.status_code, answer.json()["error"]["args"]["field"]) == (422, "at")
    assert world.call("GET", "/api/v1/tickets").json()["tickets"] == []


@pytest.mark.parametrize(
    ("body", "says"),
    [(violation(1, value="14"), '“value”: got "14", it takes a number. '),
     (violation(1, value=1e200), "“value”: got 1e+200, it must be less than 1e+150. "),
     ({"rule": "N1"}, "“event_id”: it is missing. "),
     (violation(1, rule="N" * 100), f'“rule”: got "{"N" * 59}…, it takes at most 40 characters or items. '),
     ({"violations": [violation(1), violation(2, rule="")]}, '“violations[1].rule”: got "", '),
     (violation(1, at="1970-01-01T00:00:00Z"), '“at”: got "1970-01-01T00:00:00Z", the clock of who says this '),
     ({"violations": []}, "“violations”: got [], it takes at least 1 characters or items. ")],
)  # fmt: skip
def test_what_is_wrong_names_field_value_and_remedy(world: World, body: dict[str, Any], says: str) -> None:
    answer = world.call("POST", "/api/v1/violations", token="api", json=body)
    assert answer.json()["error"]["text"]["en"].startswith(says)


def test_a_round_that_no_ticket_has_is_refused(world: World) -> None:
    no = world.raised()["no"]
    answer = world.call("POST", f"/api/v1/tickets/{no}/respond", badge="20002", json={"cycle": 10**30})
    assert (answer.status_code, answer.json()["error"]["args"]["field"]) == (422, "cycle")
