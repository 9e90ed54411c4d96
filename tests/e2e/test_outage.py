"""Feishu cannot be reached while 200 tickets open and move: afterwards each story arrives in order, and once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from rig.kit.checks import Book, conservation, same_read_model, settle
from rig.kit.files import OWNER, STATION, Wish
from rig.kit.plant import ROLES, Plant
from rig.kit.programs import until

TICKETS = 200
RESPONDED, COMMENTED, CONTAINED = 100, 40, 50
"""How many of them are taken, spoken about twice, and contained; each of the later is one of the earlier."""
REPORTER = "10032"
BUTTON = {"NEW": "respond", "RESPONDED": "contain", "CONTAINED": "analyse"}


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    with Plant(tmp_path_factory.mktemp("outage"), Wish()) as running:
        yield running


def raise_all(floor: httpx.Client, owner: httpx.Client) -> dict[str, str]:
    """Open 200 tickets and move some; number → the state they were left in."""

    def done(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
        answer = client.post(path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return dict(answer.json())

    def opened(i: int) -> str:
        body = {"title": f"leak {i}", "category": "equipment", "severity": "watch", "station": STATION}
        return str(done(floor, "/tickets", **body)["no"])

    numbers = [opened(i) for i in range(TICKETS)]
    states = dict.fromkeys(numbers, "NEW")
    for no in numbers[:RESPONDED]:
        states[no] = done(owner, f"/tickets/{no}/respond")["state"]
    for words in ("first look", "second look"):
        for no in numbers[:COMMENTED]:
            done(floor, f"/tickets/{no}/comment", text=words)
    for no in numbers[:CONTAINED]:
        states[no] = done(owner, f"/tickets/{no}/contain", text="parts put aside")["state"]
    assert Counter(states.values()) == {"NEW": 100, "RESPONDED": 50, "CONTAINED": 50}
    return states


def story(plant: Plant, chat_id: str) -> list[tuple[str, str, Any]]:
    """What happened in a group, by the time of Feishu's journal: (time, what, content)."""
    told = []
    for item in plant.sandbox.get(f"/groups/{chat_id}/messages").json()["messages"]:
        if item["kind"] == "system":
            told.append((item["at"], item["what"], None))
        elif item["msg_type"] != "interactive":
            told.append((item["at"], "said", item["text"]))
        else:
            for version in plant.sandbox.get(f"/messages/{item['message_id']}").json()["versions"]:
                told.append((version["at"], "card" if version["n"] == 1 else "updated", version["content"]))
    return sorted(told, key=lambda one: one[0])


@pytest.mark.timeout(110)
def test_stories_of_200_tickets_arrive_in_order_and_once(plant: Plant) -> None:
    plant.sandbox.post("/office", json={"up": False, "mode": "reset"}).raise_for_status()
    with plant.api("kiosk", "floor", REPORTER) as floor, plant.api("kiosk", "owner", OWNER) as owner:
        states = raise_all(floor, owner)

    until(lambda: plant.ask("relay", "GET", "/v1/outbox/status")["waiting"] >= 2 * TICKETS, 20, "the relay holds all")
    before = plant.sandbox.get("/state").json()
    assert [g for g in before["groups"] if g["kind"] == "group"] == [], "nothing can have arrived"
    plant.sandbox.post("/office", json={"up": True}).raise_for_status()
    until(lambda: all((plant.balance(role) or {"waiting": 1})["waiting"] == 0 for role in ROLES), 60, "all delivered")

    after = plant.sandbox.get("/state").json()
    groups = {g["ticket"]: g["chat_id"] for g in after["groups"] if g["kind"] == "group"}
    assert groups.keys() == states.keys()
    assert after["counters"]["groups"]["created"] == TICKETS, "one group a ticket"
    assert after["counters"]["cards"]["sent"] == TICKETS, "one card a ticket"
    assert plant.sandbox.get("/violations").json()["violations"] == []
    assert after["counters"]["cards"]["updates"] == RESPONDED, "updates of an hour are one: what the card shows at last"
    with ThreadPoolExecutor(4) as pool:
        stories = dict(zip(groups, pool.map(lambda chat: story(plant, chat), groups.values()), strict=True))
    wrong = {}
    for i, (no, state) in enumerate(states.items()):
        told = [what for _, what, _ in stories[no] if what != "added"]
        moved = ["updated"] if i < RESPONDED else []
        expected = ["created", "card", *(["said", "said"] if i < COMMENTED else []), *moved]
        words = [content for _, what, content in stories[no] if what == "said"]
        shown = str(stories[no][-1][2])
        if told != expected or f"'action': '{BUTTON[state]}'" not in shown:
            wrong[no] = (state, told, shown[:200])
        if words and not ("first look" in words[0] and "second look" in words[1]):
            wrong[no] = ("words out of order", words)
    assert wrong == {}
    assert plant.ask("edge", "GET", "/v1/outbox/status")["superseded"] == CONTAINED, "folded updates are counted"
    assert conservation(plant) == []


@pytest.mark.timeout(60)
def test_a_ticket_after_the_outage_arrives_at_once(plant: Plant) -> None:
    with plant.api("kiosk", "later", REPORTER) as floor:
        body = {"title": "next", "category": "equipment", "severity": "stop", "station": STATION}
        no = floor.post("/tickets", json=body).json()["no"]

    def there() -> bool:
        found = [g for g in plant.sandbox.get("/state").json()["groups"] if g["ticket"] == no]
        return bool(found) and found[0]["messages"] == 1

    until(there, 5, f"group and card of {no}")
    assert there(), "and nothing more came"


@pytest.mark.timeout(60)
def test_relay_and_edge_end_with_the_same_tickets(plant: Plant) -> None:
    with plant.api("api", "spc") as spc, plant.api("kiosk", "taker", OWNER) as owner:
        for event in ("a", "b", "c"):  # the third is counted and not told yet when somebody takes the ticket
            found = {"event_id": event, "key": {"station": STATION, "characteristic": "gap"}, "rule": "N1"}
            (done,) = spc.post("/violations", json=found).raise_for_status().json()["results"]
        assert owner.post(f"/tickets/{done['ticket']}/respond", json={}).json()["occurrences"] == 3
    settle(plant, 3, 20)
    edge, relay = (Book(plant.folder / role / f"{role}.db") for role in ROLES)
    try:
        assert edge.one("SELECT occurrences FROM ticket WHERE characteristic = 'gap'") == 3
        assert same_read_model(edge, relay) == []
    finally:
        edge.close()
        relay.close()
