"""What `andon` asks the running process, on a Unix socket only its group may open: tickets, outbox, devices, status.

Small routers, so that each role takes those it has parts for. Everything that changes something is audited.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Body, FastAPI, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection, Row, select

from agent.clock import Clock
from agent.model import Actor
from agent.outbox.queue import balance, revive, settle
from agent.outbox.rows import outbox
from agent.plant.devices import add_device, revoke_device
from agent.plant.rows import device
from agent.records.tickets.service import Tickets
from agent.records.tickets.store import open_by_state
from agent.store.audit import record
from agent.store.write import Store, announce
from agent.ui.api import views
from agent.ui.api.answers import Problem, StrictRoute, answer, install
from agent.ui.api.tickets import PAGE, No, detail, page
from agent.ui.gate import Gate
from agent.ui.parts import EdgeParts

ADMIN = Actor(None, frozenset({"admin"}), "admin")
UTC_ZONE = ZoneInfo("UTC")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")

Action = Callable[[Mapping[str, Any]], Awaitable[Any]]
"""Something app offers under /v1/actions/NAME: takes and gives JSON."""


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class DropIn(_In):
    """Why a message is given up."""

    reason: str = Field(min_length=1, max_length=500)


class DeviceIn(_In):
    """A device to enrol."""

    id: str = Field(pattern=f"^{_ID.pattern}$")
    kind: Literal["kiosk", "api"] = "kiosk"
    name: str = Field(min_length=1, max_length=80)
    station: str | None = None


def build_admin(parts: EdgeParts, actions: Mapping[str, Action] | None = None) -> FastAPI:
    """The edge's admin application."""
    stations = [place.id for place in parts.site.stations]
    return _app(
        parts.site.zone,
        ticket_router(parts.store, parts.clock, parts.tickets),
        outbox_router(parts.store, parts.clock),
        device_router(parts.store, parts.clock, stations),
        status_router(parts.store, lambda conn: _edge_status(conn, parts)),
        action_router(actions or {}),
    )


def build_relay_admin(store: Store, clock: Clock) -> FastAPI:
    """The relay's admin application: it has an outbox, and no tickets of its own."""
    status = status_router(store, lambda conn: {"role": "relay", "outbox": balance(conn)})
    return _app(UTC_ZONE, outbox_router(store, clock), status)


def _app(zone: ZoneInfo, *routers: APIRouter) -> FastAPI:
    app = FastAPI(title="Andon Gateway admin", openapi_url=None, docs_url=None, redoc_url=None)
    for router in routers:
        app.include_router(router)
    install(app, zone)
    app.add_middleware(Gate, zone=zone)
    return app


def ticket_router(store: Store, clock: Clock, service: Tickets) -> APIRouter:
    """Tickets to read, as the kiosk API gives them."""
    router = APIRouter(prefix="/v1/tickets")

    @router.get("")
    def list_tickets(
        state: Literal["open", "all"] = "open", station: str | None = None, limit: int = PAGE, after: str | None = None
    ) -> Response:
        with store.read() as conn:
            return answer(page(conn, clock.now(), service, state, station, limit, after))

    @router.get("/{no}")
    def show_ticket(no: No) -> Response:
        with store.read() as conn:
            return answer(detail(conn, clock.now(), service, no))

    return router


def outbox_router(store: Store, clock: Clock) -> APIRouter:
    """The outbox of either role: counters, items, send again, give up."""
    router = APIRouter(prefix="/v1/outbox", route_class=StrictRoute)

    @router.get("/status")
    def status() -> Response:
        with store.read() as conn:
            oldest = views.waiting(conn)[1]
            age = None if oldest is None else max(0, round((clock.now() - oldest).total_seconds()))
            return answer(balance(conn) | {"oldest_s": age})

    @router.get("/list")
    def items(state: str | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 50) -> Response:
        query = select(outbox).order_by(outbox.c.id.desc()).limit(limit)
        if state is not None:
            query = query.where(outbox.c.state == state)
        with store.read() as conn:
            return answer({"items": [_item(row) for row in conn.execute(query)]})

    @router.post("/{uuid}/retry")
    async def retry(uuid: str) -> Response:
        return answer(await store.write(lambda conn: _retry(conn, clock.now(), uuid)))

    @router.post("/{uuid}/drop")
    async def drop(uuid: str, body: DropIn) -> Response:
        return answer(await store.write(lambda conn: _drop(conn, clock.now(), uuid, body.reason)))

    return router


def _item(row: Row[Any]) -> dict[str, Any]:
    """An item without its payload: names and words of people stay in the store."""
    plain = ("uuid", "edge", "lane", "cls", "kind", "state", "attempts", "reason")
    times = ("created_at", "not_before_at", "first_tried_at", "settled_at")
    return {name: getattr(row, name) for name in plain} | {name: _iso(getattr(row, name)) for name in times}


def _found(conn: Connection, uuid: str) -> Row[Any]:
    row = conn.execute(select(outbox).where(outbox.c.uuid == uuid)).first()
    if row is None:
        raise Problem(404, "admin.item_unknown", uuid=uuid[:64])
    return row


def _retry(conn: Connection, now: datetime, uuid: str) -> dict[str, Any]:
    row = _found(conn, uuid)
    if not revive(conn, now, uuid):
        raise Problem(409, "admin.item_not_dead", uuid=uuid[:64], state=row.state)
    record(conn, now, ADMIN, "outbox item sent again", {"uuid": uuid, "lane": row.lane, "reason": row.reason})
    return {"uuid": uuid, "state": "waiting"}


def _drop(conn: Connection, now: datetime, uuid: str, reason: str) -> dict[str, Any]:
    """Settle a waiting or dead item as shed. One that is under way or with the relay must come back first."""
    row = _found(conn, uuid)
    if row.state not in ("waiting", "dead"):
        raise Problem(409, "admin.item_not_droppable", uuid=uuid[:64], state=row.state)
    if row.state == "dead":
        revive(conn, now, uuid)
    settle(conn, now, row.id, "shed", reason)
    record(conn, now, ADMIN, "outbox item dropped", {"uuid": uuid, "lane": row.lane, "kind": row.kind,
                                                     "was": row.state, "reason": reason})  # fmt: skip
    return {"uuid": uuid, "state": "shed"}


def device_router(store: Store, clock: Clock, stations: Collection[str] | None = None) -> APIRouter:
    """Kiosks and programs: enrol, list, revoke. `stations` are those a kiosk may stand at; None: any."""
    router = APIRouter(prefix="/v1/devices", route_class=StrictRoute)

    @router.get("")
    def devices() -> Response:
        with store.read() as conn:
            return answer({"devices": [_device(row) for row in conn.execute(select(device).order_by(device.c.id))]})

    @router.post("", status_code=201)
    async def add(body: DeviceIn) -> Response:
        if body.station is not None and stations is not None and body.station not in stations:
            raise Problem(422, "api.station", station=body.station[:60])

        def job(conn: Connection) -> str:
            now = clock.now()
            token = add_device(conn, now, body.id, body.kind, body.name, body.station)
            record(conn, now, ADMIN, "device enrolled", body.model_dump())
            announce(conn, "device")
            return token

        return answer({"id": body.id, "token": await store.write(job)}, 201)

    @router.post("/{device_id}/revoke")
    async def revoke(device_id: str) -> Response:
        def job(conn: Connection) -> None:
            now = clock.now()
            if not revoke_device(conn, now, device_id):
                raise Problem(404, "admin.device_unknown", id=device_id[:60])
            record(conn, now, ADMIN, "device revoked", {"id": device_id})
            announce(conn, "device")

        await store.write(job)
        return answer({"id": device_id, "state": "revoked"})

    return router


def _device(row: Row[Any]) -> dict[str, Any]:
    plain = {name: getattr(row, name) for name in ("id", "kind", "name", "station")}
    return plain | {name: _iso(getattr(row, name)) for name in ("created_at", "seen_at", "revoked_at")}


def status_router(store: Store, status: Callable[[Connection], Mapping[str, Any]]) -> APIRouter:
    """How this process is."""
    router = APIRouter(prefix="/v1")

    @router.get("/status")
    def show() -> Response:
        with store.read() as conn:
            return answer(status(conn))

    return router


def _edge_status(conn: Connection, parts: EdgeParts) -> dict[str, Any]:
    now, link, reason = parts.clock.now(), parts.link(), parts.ready()
    sources = {
        s.name: {"kind": s.kind, "state": s.state, "stale": s.stale(now), "last_data_at": _iso(s.last_data_at),
                 "received": s.received, "errors": s.errors, "last_bad": s.last_bad, "reconnects": s.reconnects}
        for s in parts.sources.values()
    }  # fmt: skip
    return {
        "role": "edge", "version": parts.version, "site": parts.site.id, "edge": parts.site.edge,
        "now": now.isoformat(), "ready": reason is None, "reason": reason,
        "link": {"up": link.up, "since": _iso(link.since), "last_contact_at": _iso(link.last_contact_at)},
        "sources": sources, "outbox": balance(conn), "tickets": dict(open_by_state(conn)),
    }  # fmt: skip


def action_router(actions: Mapping[str, Action]) -> APIRouter:
    """What app offers by name."""
    router = APIRouter(prefix="/v1/actions", route_class=StrictRoute)

    @router.post("/{name}")
    async def act(name: str, body: Annotated[dict[str, Any] | None, Body()] = None) -> Response:
        if name not in actions:
            raise Problem(404, "admin.action_unknown", name=name[:40])
        return answer({"result": await actions[name](body or {})})

    return router


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
