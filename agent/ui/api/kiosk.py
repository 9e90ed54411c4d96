"""What a kiosk shows: the snapshot, and the stream that begins with one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from agent.records.tickets.service import listing
from agent.ui.api import shapes, views
from agent.ui.api.answers import Problem, StrictRoute, answer
from agent.ui.api.caller import Caller, Parts
from agent.ui.api.tickets import Look
from agent.ui.hub import EventStream, Hub, Reader
from agent.ui.parts import EdgeParts

Station = Annotated[str | None, Query(max_length=60, description="only this station; else the device's own, else all")]

STREAM: shapes.Responses = {200: {"content": {"text/event-stream": {}}}, **shapes.errors()}

router = APIRouter(prefix="/api/v1", tags=["kiosk"], route_class=StrictRoute)


@router.get("/kiosk", response_model=shapes.SnapshotOut, responses=shapes.errors())
def kiosk(parts: Parts, caller: Look, station: Station = None) -> Response:
    """Everything a kiosk shows at this moment."""
    here = _station(parts, caller, station)
    now = parts.clock.now()
    with parts.store.read() as conn:
        who = parts.tickets.directory(conn)
        found, _ = listing(conn, state="open", station=here, limit=views.SHOWN_TICKETS, after=None)
        shown = views.tickets(conn, found, now, who)
        office = views.office(parts.link(), views.waiting(conn), now)
    device = {"device": {"id": caller.id, "name": caller.name}}
    return answer(device | views.snapshot(parts, now, here, who, shown, office))


@router.get("/stream", responses=STREAM)
async def stream(request: Request, parts: Parts, caller: Look, station: Station = None) -> Response:
    """Server-sent events: `snapshot` first, then `tile`, `ticket`, `office`, `sources`, and `beat` every 2 s."""
    hub: Hub = request.app.state.hub
    device = {"id": caller.id, "name": caller.name}
    return EventStream(hub, Reader(hub, device, caller.credential, _station(parts, caller, station)))


def _station(parts: EdgeParts, caller: Caller, wanted: str | None) -> str | None:
    """The station asked for, else the device's, else None. Raises Problem (422)."""
    if wanted and not parts.knows_station(wanted):
        raise Problem(422, "api.station", station=wanted)
    own = caller.station if caller.station and parts.knows_station(caller.station) else None
    return wanted or own
