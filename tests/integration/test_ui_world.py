"""A small edge for the tests of its HTTP side: a real store, real tickets and pipeline, a clock that stands still."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Connection

from agent.blobs import Blobs
from agent.clock import Clock, ManualClock
from agent.config import Config
from agent.metrics import Metrics
from agent.model import SourceHealth
from agent.outbox.courier import LinkState
from agent.pipeline import Pipeline
from agent.plant.devices import add_device
from agent.plant.directory import replace_people
from agent.plant.people import Person
from agent.records.tickets.service import Tickets
from agent.records.tickets.setup import occur_of, setup_of
from agent.store.schema import upgrade
from agent.store.write import Store
from agent.ui.parts import EdgeParts
from agent.ui.server import build_app

PEOPLE = [
    Person("10001", "李强", "20001", "assembly", frozenset({"operator"})),
    Person("20001", "王芳", "30001", "assembly", frozenset({"leader"})),
    Person("20002", "周敏", "30001", "assembly", frozenset({"engineer"})),
    Person("30001", "黄志远", None, "quality", frozenset({"quality"})),
    Person("90009", "赵离", "20001", "assembly", frozenset({"operator"}), active=False),
]
LIMITS = {"center": 100.0, "sigma": 2.0}
SETTINGS: dict[str, Any] = {
    "site": {
        "id": "SZ1", "edge": "E3", "line": {"id": "L3", "name": {"zh": "3 号线", "en": "Line 3"}},
        "stations": [{"id": "OP40", "name": {"zh": "焊接", "en": "Welding"}},
                     {"id": "OP50", "name": {"zh": "终检", "en": "Final check"}}],
    },
    "edge": {"allowed_hosts": ["kiosk.plant", "127.0.0.1", "localhost"]},
    "tickets": {"default_owner": "20002", "quality": ["30001"]},
    "deadlines": {"escalation": {"fallback": ["30001"]}},
    "characteristics": [
        {"id": "WIDTH", "name": {"zh": "焊缝熔宽", "en": "Bead width"}, "unit": "µm", "station": "OP40",
         "entry": "manual", "limits": LIMITS, "category": "welding"},
        {"id": "GAP", "name": {"zh": "间隙", "en": "Gap"}, "unit": "mm", "station": "OP50", "entry": "manual",
         "chart": "xbar_r", "n": 3, "limits": LIMITS},
    ],
}  # fmt: skip


class World:
    """An edge without collectors and courier, and tokens for its devices."""

    def __init__(self, folder: Path, clock: Clock, static: Path | None = None) -> None:
        config = Config.model_validate(SETTINGS)
        site = config.site
        self.clock = clock
        self.store = Store(folder / "edge.db")
        self.link = LinkState()
        self.reason: str | None = None
        metrics = Metrics()
        tickets = Tickets(site, setup_of(site, config.tickets, config.deadlines, config.characteristics))
        self.pipeline = Pipeline(
            self.store, clock, site.edge, config.characteristics, lambda c: None if c.id == "WIDTH" else 60.0,
            occur_of(site, tickets), metrics,
        )  # fmt: skip
        self.source = SourceHealth("plc", "mqtt", 30.0)
        self.parts = EdgeParts(
            site=site, edge=config.edge, characteristics=config.characteristics,
            categories=config.tickets.categories, clock=clock, store=self.store, metrics=metrics, tickets=tickets,
            pipeline=self.pipeline, blobs=Blobs(folder / "blobs"), sources={"plc": self.source},
            link=lambda: self.link, version="0.0.1", static_dir=static, ready=lambda: self.reason,
        )  # fmt: skip
        self.app = build_app(self.parts)
        self.kiosk = self.api = ""

    def open(self) -> None:
        upgrade(self.store.path)
        self.store.open()
        asyncio.run(self.pipeline.load())
        self.kiosk, self.api = self.store.submit(self._fill).result()

    def _fill(self, conn: Connection) -> tuple[str, str]:
        now = self.clock.now()
        replace_people(conn, PEOPLE, [])
        return (add_device(conn, now, "OP40-A", "kiosk", "OP40 左", "OP40"),
                add_device(conn, now, "spc-1", "api", "SPC", None))  # fmt: skip

    def call(self, method: str, path: str, app: FastAPI | None = None, **more: Any) -> httpx.Response:
        """One request as the kiosk; token=None sends none, badge and key become their headers."""
        return asyncio.run(self.acall(method, path, app, **more))

    async def acall(
        self, method: str, path: str, app: FastAPI | None = None, *, token: str | None = "kiosk",
        badge: str | None = None, key: str | None = None, headers: dict[str, str] | None = None, **more: Any,
    ) -> httpx.Response:  # fmt: skip
        known = {"kiosk": self.kiosk, "api": self.api}
        all_headers = {
            "Authorization": f"Bearer {known.get(token, token)}" if token else None,
            "X-Andon-Badge": badge, "Idempotency-Key": key, **(headers or {}),
        }  # fmt: skip
        wanted = {name: value for name, value in all_headers.items() if value is not None}
        transport = httpx.ASGITransport(app or self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://kiosk.plant:8443") as client:
            return await client.request(method, path, headers=wanted, **more)

    def raised(self, **more: Any) -> dict[str, Any]:
        """A ticket, just reported by 10001."""
        body = {"category": "welding", "severity": "stop", "station": "OP40", **more}
        answer = self.call("POST", "/api/v1/tickets", badge="10001", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def events(self) -> int:
        """How many ticket events are kept."""
        with self.store.read() as conn:
            return conn.exec_driver_sql("SELECT count(*) FROM ticket_event").scalar_one()


def opened(folder: Path, clock: Clock, static: Path | None = None) -> Iterator[World]:
    """An edge that is up, for a fixture."""
    made = World(folder, clock, static)
    made.open()
    yield made
    made.store.close()


@pytest.fixture
def world(tmp_path: Path, clock: ManualClock) -> Iterator[World]:
    yield from opened(tmp_path, clock)


def test_build_app_touches_nothing(tmp_path: Path, clock: ManualClock) -> None:
    World(tmp_path, clock)
    assert list(tmp_path.iterdir()) == []


def test_health_says_what_works(world: World) -> None:
    assert world.call("GET", "/healthz", token=None).text == "ok\n"
    for path in ("/healthz", "/readyz", "/metrics"):  # what many load balancers ask
        assert world.call("HEAD", path, token=None).status_code == 200
    assert world.call("GET", "/readyz", token=None).json() == {"ready": True, "reason": None}
    world.reason = "charts are loading"
    answer = world.call("GET", "/readyz", token=None)
    assert (answer.status_code, answer.json()["reason"]) == (503, "charts are loading")


def test_metrics_show_the_edge_and_no_secret(world: World) -> None:
    world.raised()
    world.source.received, world.source.last_data_at = 7, world.clock.now() - timedelta(seconds=12)
    world.source.bad("not_json", "{")
    world.call("GET", "/api/v1/kiosk", token="wrong")
    text = world.call("GET", "/metrics", token=None).text
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert lines['andon_source_age_seconds{source="plc"}'] == "12"
    assert lines['andon_source_received_total{source="plc"}'] == "7"
    assert lines['andon_source_errors_total{kind="not_json",source="plc"}'] == "1"
    assert lines['andon_tickets{state="NEW"}'] == "1"
    assert lines['andon_tickets{state="CLOSED"}'] == "0"
    assert int(lines["andon_outbox_accepted_total"]) == int(lines["andon_outbox_waiting"]) > 0
    assert lines["andon_outbox_missing"] == "0"
    assert lines["andon_link_up"] == "0"
    assert lines['andon_http_refusals_total{status="401"}'] == "1"
    assert world.kiosk not in text
    declared = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert {name.partition("{")[0] for name in lines} <= declared


def test_openapi_declares_every_refusal(world: World) -> None:
    paths = world.call("GET", "/api/openapi.json", token=None).json()["paths"]
    for path, methods in paths.items():
        for method, route in methods.items():
            if not path.startswith("/api/v1"):
                continue
            expected = {"401", "403", "421", "422"} | ({"400", "413", "415", "503"} if method == "post" else set())
            assert expected <= route["responses"].keys(), (method, path)
            shape = route["responses"]["422"]["content"]["application/json"]["schema"]["$ref"]
            assert shape.endswith("ErrorOut"), (method, path)
            assert route["security"], (method, path)
    assert "/api/v1/tickets/{no}/verify" in paths
