"""Load on an agent under test, and a record of what it accepted: PUBACKs to an MQTT publisher, 2xx to API callers."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import defaultdict
from typing import Any

import httpx
from paho.mqtt.client import Client, MQTTMessageInfo
from paho.mqtt.enums import CallbackAPIVersion
from rig.kit.files import STATION
from rig.kit.plant import Plant
from rig.kit.programs import until

BASE = 1000
"""A message's value is BASE + its own number: beyond every limit, and the charted point names the message."""


class Publisher:
    """Violations over MQTT, QoS 1; `acked` are those whose PUBACK came back from the broker."""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="rig-publisher")
        self._client.max_inflight_messages_set(200)
        self.sent: dict[str, set[int]] = defaultdict(set)
        self._waiting: list[tuple[int, MQTTMessageInfo]] = []
        self.acked: set[int] = set()
        self._last = 0

    def open(self) -> None:
        """Connect, and wait until the edge's session holds what is published."""
        self._client.connect("127.0.0.1", self._plant.ports["broker"])
        self._client.loop_start()
        self._plant.source_up()
        calm = f"rig/{self._plant.wish.characteristics[0]}"

        def heard() -> bool:
            self._client.publish(calm, '{"value": 10}', qos=1)
            return bool(self._plant.ask("edge", "GET", "/v1/status")["sources"]["line"]["received"])

        until(heard, 10, "the edge hears the publisher", 0.2)

    def publish(self, characteristic: str) -> None:
        """One violation with a number of its own."""
        self._last += 1
        body = json.dumps({"value": BASE + self._last, "id": f"m{self._last}"})
        info = self._client.publish(f"rig/{characteristic}", body, qos=1)
        self.sent[characteristic].add(self._last)
        self._waiting.append((self._last, info))

    def settle(self) -> int:
        """Note the PUBACKs that came; returns how many are still owed."""
        self.acked |= {n for n, info in self._waiting if info.is_published()}
        self._waiting = [(n, info) for n, info in self._waiting if n not in self.acked]
        return len(self._waiting)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


class Caller:
    """Violations over HTTP with event ids of our own, tried until they get 2xx; now and then somebody responds."""

    def __init__(self, machine: httpx.Client, person: httpx.Client, seed: int) -> None:
        self._machine, self._person, self._dice = machine, person, random.Random(seed)
        self.accepted: dict[str, tuple[str, str]] = {}
        """event id → (characteristic of its key, ticket it was answered with)"""
        self.responded: set[str] = set()
        self.repeats = 0
        """Requests made again because no answer came."""
        self.wrong: list[str] = []
        self._events = 0

    def violate(self, characteristic: str, stop: threading.Event) -> None:
        """Hand in one to three violations of a key, as often as it takes."""
        batch = []
        for _ in range(self._dice.randint(1, 3)):
            self._events += 1
            key = {"station": STATION, "characteristic": characteristic}
            batch.append({"event_id": f"rig-{self._events}", "key": key, "rule": "N1", "value": 99.5})
        answer = self._until_taken(self._machine, "/violations", {"violations": batch}, stop)
        for result in answer["results"] if answer else ():
            self.accepted[result["event_id"]] = (characteristic, result["ticket"])
            if result["result"] not in ("opened", "appended", "duplicate"):
                self.wrong.append(f"{result['event_id']}: {result['result']}")

    def respond(self, characteristic: str, stop: threading.Event) -> None:
        """The owner takes a ticket of this key, once."""
        ticket = next((no for one, no in self.accepted.values() if one == characteristic), None)
        if ticket is None or ticket in self.responded:
            return
        headers = {"Idempotency-Key": f"respond-{ticket}"}
        if self._until_taken(self._person, f"/tickets/{ticket}/respond", {}, stop, headers):
            self.responded.add(ticket)

    def _until_taken(
        self, client: httpx.Client, path: str, body: Any, stop: threading.Event, headers: dict[str, str] | None = None
    ) -> Any:
        """The answer, or None if it was a refusal (noted) or `stop` was set while nobody answered."""
        while True:
            try:
                answer = client.post(path, json=body, headers=headers)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code < 300:
                return answer.json()
            if answer is not None and answer.status_code < 500:
                self.wrong.append(f"{path}: {answer.status_code} {answer.text[:200]}")
                return None
            self.repeats += 1
            if stop.wait(0.05):
                return None


class Load:
    """Both at once, on threads of their own, on the keys that are live at the moment."""

    def __init__(self, plant: Plant, seed: int, messages_s: float = 60.0, calls_s: float = 15.0) -> None:
        self.machine, self.person = plant.api("api", "rig-spc"), plant.api("kiosk", "rig-kiosk", badge="10021")
        self.publisher, self.caller = Publisher(plant), Caller(self.machine, self.person, seed)
        self._dice = random.Random(seed)
        self._rates = (messages_s, calls_s)
        self._mqtt: tuple[str, ...] = ()
        self._keys: tuple[str, ...] = ()
        self._stop, self._give_up = threading.Event(), threading.Event()
        jobs = (self._publish, self._call)
        self._threads = [threading.Thread(target=job, name=job.__name__, daemon=True) for job in jobs]

    def aim(self, mqtt: tuple[str, ...], keys: tuple[str, ...]) -> None:
        """From now on violations fall on these characteristics (by MQTT) and these keys (by the API)."""
        self._mqtt, self._keys = mqtt, keys

    def start(self) -> None:
        self.publisher.open()
        for thread in self._threads:
            thread.start()

    def stop(self, within_s: float = 20.0) -> None:
        """No more load; what is under way is finished."""
        self._stop.set()
        end = time.monotonic() + within_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        self._give_up.set()
        for thread in self._threads:
            thread.join(5)
            assert not thread.is_alive(), f"{thread.name} hangs"
        until(lambda: self.publisher.settle() == 0, 10, "the broker has acknowledged every message")

    def close(self) -> None:
        self._stop.set()
        self._give_up.set()
        self.publisher.close()
        for client in (self.machine, self.person):
            client.close()

    def _publish(self) -> None:
        pause = 1 / self._rates[0]
        while not self._stop.wait(pause * self._dice.uniform(0.2, 1.8)):
            if self._mqtt:
                self.publisher.publish(random.choice(self._mqtt))
                self.publisher.settle()

    def _call(self) -> None:
        pause = 1 / self._rates[1]
        while not self._stop.wait(pause):
            if not self._keys:
                continue
            key = random.choice(self._keys)
            self.caller.violate(key, self._give_up)
            if random.random() < 0.1:
                self.caller.respond(key, self._give_up)
