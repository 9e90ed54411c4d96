"""The part of the control API that breaks things and moves time."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from fastapi import APIRouter

from agent.clock import ManualClock, SharedClock
from agent.errors import Refused
from agent.sandbox.control import bodies, views
from agent.sandbox.control.stage import Here
from agent.sandbox.push.hub import Hub
from agent.sandbox.world.world import SandboxWorld


def cut_office(world: SandboxWorld, hub: Hub, mode: str) -> None:
    """No call gets through and no connection stays (mode reset), or all hang half-open (mode hang)."""
    world.cut_office(mode)
    if mode == "hang":
        hub.freeze()
    else:
        hub.drop()


def restore_office(world: SandboxWorld, hub: Hub) -> None:
    world.restore_office()
    hub.thaw()


def forward(world: SandboxWorld, seconds: float) -> None:
    """Move the demo's clock. Raises Refused when it is the machine's own."""
    if isinstance(world.clock, SharedClock):
        world.clock.forward(seconds)
    elif isinstance(world.clock, ManualClock):
        world.clock.advance(seconds)
    else:
        raise Refused("sandbox.error.clock_fixed")
    world.bus.publish("clock", "")


def _seconds_to(world: SandboxWorld, until: datetime) -> float:
    seconds = (until - world.now()).total_seconds()
    if seconds < 0:
        raise Refused("sandbox.error.clock_back", until={"at": until.isoformat()})
    return seconds


def wished_seconds(world: SandboxWorld, body: bodies.ClockBody) -> float:
    """How far the clock is to go. Raises Refused for the past, or when no deadline waits."""
    wishes = [wish for wish in (body.forward_s, body.until, body.to) if wish is not None]
    if len(wishes) != 1 or (body.until is not None and body.until.tzinfo is None):
        raise Refused("sandbox.error.bad_request", why="forward_s | until | to")
    if body.forward_s is not None:
        if body.forward_s < 0:
            raise Refused("sandbox.error.bad_request", why=f"forward_s {body.forward_s:g}")
        return body.forward_s
    if body.until is not None:
        return _seconds_to(world, body.until)
    if world.next_deadline is None or world.next_deadline < world.now():
        raise Refused("sandbox.error.no_deadline")
    return _seconds_to(world, world.next_deadline)


router = APIRouter(prefix="/sandbox/api")


@router.post("/faults")
async def set_fault(here: Here, body: dict[str, Any]) -> dict[str, Any]:
    fault = here.world.faults.add(body)
    here.world.bus.publish("faults", "")
    return views.fault(fault)


@router.delete("/faults")
async def clear_faults(here: Here) -> dict[str, Any]:
    return _cleared(here, None)


@router.delete("/faults/{id_}")
async def clear_fault(here: Here, id_: str) -> dict[str, Any]:
    return _cleared(here, id_)


def _cleared(here: Here, id_: str | None) -> dict[str, Any]:
    count = here.world.faults.clear(id_)
    if not any(fault.api == "ws.ping" for fault in here.world.faults.active) and here.world.office.up:
        here.hub.thaw()
    here.world.bus.publish("faults", "")
    return {"cleared": count}


@router.post("/office")
async def office(here: Here, body: bodies.OfficeBody) -> dict[str, Any]:
    if body.up:
        restore_office(here.world, here.hub)
    else:
        cut_office(here.world, here.hub, body.mode)
    return views.office(here.world)


@router.post("/connections/drop")
async def drop(here: Here, body: bodies.DropBody) -> dict[str, Any]:
    return {"dropped": here.hub.drop(body.id)}


@router.post("/tokens/revoke")
async def revoke(here: Here) -> dict[str, Any]:
    return {"revoked": here.world.revoke_tokens()}


@router.post("/events")
async def event(here: Here, body: bodies.EventBody) -> dict[str, Any]:
    event_id = here.world.pushes.add(body.event_type, body.event, 2 if body.double else 1)
    return {"event_id": event_id}


clock_router = APIRouter(prefix="/sandbox/api/clock")


@clock_router.get("")
async def read(here: Here) -> dict[str, Any]:
    return views.clock(here.world)


@clock_router.post("")
async def move(here: Here, body: bodies.ClockBody) -> dict[str, Any]:
    forward(here.world, wished_seconds(here.world, body))
    return views.clock(here.world)


@clock_router.put("/next")
async def next_deadline(here: Here, body: bodies.NextBody) -> dict[str, Any]:
    here.world.next_deadline = body.at
    here.world.bus.publish("clock", "")
    return views.clock(here.world)
