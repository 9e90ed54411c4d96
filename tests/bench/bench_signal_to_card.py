"""From a signal on the line to the card in Feishu, beside a floor measured in the same run.

    python tests/bench/bench_signal_to_card.py [--n 100]

Each violation is one MQTT message beyond its limit on a characteristic of its own: a new ticket, a new group, a new
card. Clock: from `publish` to the moment at which the Feishu stand-in (no latency, no rate limits) has the card. The
path holds four durable commits: ticket and message at the edge, message at the relay, "group made", and the claims.
The floor: one fsync of 4 KiB and the same HTTP calls alone, by http.client over one open connection. No assertion.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from rig.kit.files import STATION, Wish
from rig.kit.plant import ROLES, Plant
from rig.kit.programs import until

from agent.sandbox.demo_file import APP_ID

PAUSE_S = 0.15


class Line:
    """The line's sensors, and what has become of their signals in Feishu."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="bench")
        self._client.connect("127.0.0.1", plant.ports["broker"])
        self._client.loop_start()
        plant.source_up()
        time.sleep(1)

    def violate(self, name: str) -> datetime:
        """One value beyond its limit, now."""
        at = datetime.now(UTC)
        self._client.publish(f"rig/{name}", '{"value": 99}', qos=1)
        return at

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def cards(self, names: list[str]) -> dict[str, tuple[datetime, datetime, Any]]:
        """Characteristic → when its group was made, when its card was posted, and the card."""

        def all_there() -> bool:
            groups = [g for g in self._groups() if g["messages"]]
            return len(groups) >= len(names) and all(self._plant.balance(r)["waiting"] == 0 for r in ROLES)

        until(all_there, 120, f"{len(names)} cards", 0.2)
        keys = {t["no"]: t["characteristic"] for t in tickets(self._plant)}
        found = {}
        for group in self._groups():
            messages = self._plant.sandbox.get(f"/groups/{group['chat_id']}/messages").json()["messages"]
            (card,) = (m for m in messages if m["kind"] == "message" and m["msg_type"] == "interactive")
            times = (datetime.fromisoformat(group["created_at"]), datetime.fromisoformat(card["at"]))
            found[keys[group["ticket"]]] = (*times, card["card"])
        return found

    def _groups(self) -> list[dict[str, Any]]:
        return [g for g in self._plant.sandbox.get("/state").json()["groups"] if g["kind"] == "group"]


def tickets(plant: Plant) -> list[dict[str, Any]]:
    """All tickets of the edge."""
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = plant.ask("edge", "GET", f"/v1/tickets?state=all&limit=200{after}")
        found += page["tickets"]
        if page["next"] is None:
            return found
        after = f"&after={page['next']}"


def floor(plant: Plant, folder: Path, card: Any, calls: int) -> list[float]:
    """Seconds of one fsync and of making a group and posting a card, one after the other, `calls` times."""
    connection = http.client.HTTPConnection("127.0.0.1", plant.ports["sandbox"], timeout=10)

    def post(path: str, body: Any, token: str = "") -> dict[str, Any]:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        connection.request("POST", f"/open-apis/{path}", json.dumps(body), headers)
        answer = json.loads(connection.getresponse().read())
        assert answer["code"] == 0, answer
        return dict(answer)

    secret = (plant.folder / "secret").read_text()
    token = post("auth/v3/tenant_access_token/internal", {"app_id": APP_ID, "app_secret": secret})[
        "tenant_access_token"
    ]
    people = [
        p["open_id"] for p in plant.sandbox.get("/state").json()["people"] if p["id"] in ("10021", "10022", "10031")
    ]
    content, took = json.dumps(card), []
    with (folder / "plain").open("ab", buffering=0) as file:
        for i in range(calls):
            start = time.perf_counter()
            file.write(b"x" * 4096)
            os.fsync(file.fileno())
            made = {"name": f"floor {i}", "user_id_list": people, "owner_id": people[0], "chat_type": "private"}
            path = f"im/v1/chats?user_id_type=open_id&set_bot_manager=true&uuid=floor-{i}"
            chat = post(path, made, token)["data"]["chat_id"]
            sent = {"receive_id": chat, "msg_type": "interactive", "content": content, "uuid": f"floor-card-{i}"}
            post("im/v1/messages?receive_id_type=chat_id", sent, token)
            took.append(time.perf_counter() - start)
    connection.close()
    return took


def percentiles(seconds: list[float]) -> tuple[float, float]:
    ordered = sorted(seconds)
    return median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]


def show(what: str, seconds: list[float], base: list[float] | None = None) -> None:
    p50, p99 = percentiles(seconds)
    ratio = ""
    if base is not None:
        floor50, floor99 = percentiles(base)
        ratio = f"  p50 {p50 / floor50:5.1f} x, p99 {p99 / floor99:5.1f} x floor"
    print(f"{what:<46} p50 {p50 * 1e3:7.1f} ms  p99 {p99 * 1e3:7.1f} ms{ratio}")


def seconds(begun: dict[str, datetime], ended: dict[str, datetime]) -> list[float]:
    return [(ended[name] - at).total_seconds() for name, at in begun.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--n", type=int, default=100, help="violations one by one, and again all at once")
    n = parser.parse_args().n
    single, burst, called = ([f"{kind}{i}" for i in range(n)] for kind in ("single", "burst", "called"))
    with tempfile.TemporaryDirectory(prefix="andon-bench-") as name:
        folder = Path(name)
        with Plant(folder, Wish([*single, *burst], limits=False)) as plant:
            line = Line(plant)
            first = len(plant.sandbox.get("/calls?limit=2000").json()["calls"])
            begun = {}
            for one in single:
                begun[one] = line.violate(one)
                time.sleep(PAUSE_S)
            cards = line.cards(single)
            calls = Counter(c["api"] for c in plant.sandbox.get("/calls?limit=2000").json()["calls"][first:])
            by_api = {}
            with plant.api("api", "bench") as api:
                for one in called:
                    by_api[one] = datetime.now(UTC)
                    key = {"station": STATION, "characteristic": one}
                    api.post("/violations", json={"event_id": one, "key": key, "rule": "N1"}).raise_for_status()
                    time.sleep(PAUSE_S)
            cards |= line.cards([*single, *called])
            at_once = {one: line.violate(one) for one in burst}
            cards |= line.cards([*single, *called, *burst])
            line.close()
            base = floor(plant, folder, cards[single[0]][2], n)
        groups, posted = ({one: times[i] for one, times in cards.items()} for i in (0, 1))
        print(f"{n} violations each; calls of the {n} single ones: {dict(calls)}\n")
        show("floor: fsync, im.chat.create, im.message.create", base)
        show("MQTT message to group", seconds(begun, groups), base)
        show("MQTT message to card", seconds(begun, posted), base)
        show("POST /api/v1/violations to card", seconds(by_api, posted), base)
        show(f"{n} MQTT messages at once, each to its card", seconds(at_once, posted))
        last = max(posted[one] for one in burst) - min(at_once.values())
        rate = n / last.total_seconds()
        print(f"{'  cards a second then':<46} {rate:7.1f}/s, {rate * sum(base) / n:5.2f} x floor alone")


if __name__ == "__main__":
    main()
