"""Measurements typed in by hand, and violations that other SPC systems found."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import Connection

from agent.errors import Refused
from agent.pipeline import Applied
from agent.records.tickets.service import Occurrence, key_of
from agent.ui.api import shapes, views
from agent.ui.api.answers import Problem, StrictRoute
from agent.ui.api.caller import Caller, Parts, allowed
from agent.ui.api.once import Answer, Ask, Key, ask_of, keep, once, recall
from agent.ui.parts import EdgeParts

router = APIRouter(prefix="/api/v1", tags=["measurements"], route_class=StrictRoute)


@router.post(
    "/measurements", status_code=201, response_model=shapes.MeasureOut, responses=shapes.errors(*shapes.WRITES)
)
async def measure(
    body: shapes.MeasureIn, request: Request, parts: Parts, caller: Annotated[Caller, Depends(allowed("measure"))],
    key: Key = None,
) -> Response:  # fmt: skip
    """Chart values like any other. A repeat gives the first answer with the tile as it is by now."""
    _check(parts, body)
    ask = await ask_of(request, caller, key)
    done = await _charted(parts, ask, body, caller)
    tile = views.tile(parts.pipeline.live[body.characteristic], parts.clock.now())
    return done.response(tile=tile)


def _check(parts: EdgeParts, body: shapes.MeasureIn) -> None:
    """What can be refused before the transaction: one that fails makes the pipeline load its charts again."""
    live = parts.pipeline.live.get(body.characteristic)
    if live is None:
        raise Problem(422, "measure.unknown", id=body.characteristic)
    if len(body.values) > live.settings.n:
        raise Problem(422, "measure.count", n=live.settings.n, got=len(body.values))


async def _charted(parts: EdgeParts, ask: Ask, body: shapes.MeasureIn, caller: Caller) -> Answer:
    """Chart in one transaction with the kept answer; the live picture follows. Raises Problem (422), StoreFull."""
    said: list[Answer | Problem] = []

    def job(conn: Connection) -> Applied:
        now = parts.clock.now()
        try:
            known: Answer | Problem | None = recall(conn, ask)
        except Problem as problem:  # told after the commit: a failed transaction would make the charts load again
            known = problem
        if known is not None:
            said.append(known)
            return Applied()
        applied = parts.pipeline.measure(
            conn, now, body.characteristic, body.values, caller.actor, ask.identity, body.stream
        )
        said.append(keep(conn, now, ask, Answer(201, {"violations": applied.violations, "ticket": applied.ticket})))
        return applied

    future = parts.pipeline.submit(job)
    parts.pipeline.show(await asyncio.shield(asyncio.wrap_future(future)))
    if isinstance(said[0], Problem):
        raise said[0]
    return said[0]


@router.post(
    "/violations", response_model=shapes.ResultsOut, responses=shapes.errors(*shapes.WRITES)
)  # fmt: skip
async def hand_in(
    body: shapes.HandIn, request: Request, parts: Parts,
    caller: Annotated[Caller, Depends(allowed("hand_in"))], key: Key = None,
) -> Response:  # fmt: skip
    """Hand in violations, one or up to 500: each opens a ticket or counts on the one that is open for its key.

    All or none: a list in which one is refused changes nothing, and the refusal names the place of that one.
    """
    found = body.violations if isinstance(body, shapes.ViolationsIn) else [body]
    ask = await ask_of(request, caller, key)

    def job(conn: Connection) -> Answer:
        now = parts.clock.now()

        def work() -> Answer:
            _stations(parts, found, several=isinstance(body, shapes.ViolationsIn))
            return Answer(200, {"results": [_occur(conn, now, parts, caller, v) for v in found]})

        return once(conn, now, ask, work)

    return (await parts.store.write(job)).response()


def _stations(parts: EdgeParts, found: Sequence[shapes.ViolationIn], several: bool) -> None:
    """Each station is one of [site]: at another no kiosk stands, nobody would see the ticket. Raises Problem (422).

    Characteristics may be strange: another SPC system knows more of them than our configuration.
    """
    for place, seen in enumerate(found):
        if seen.key.station and not parts.knows_station(seen.key.station):
            field = f"violations.{place}.key.station" if several else "key.station"
            known = ", ".join(station.id for station in parts.site.stations)
            raise Problem(422, "api.violation_station", field=field, station=seen.key.station, known=known)


def _occur(
    conn: Connection, now: datetime, parts: EdgeParts, caller: Caller, seen: shapes.ViolationIn
) -> dict[str, Any]:
    """One violation. A time ahead of ours is taken as now; event ids are each caller's: two may both count 1, 2, 3."""
    at = min(seen.at or now, now)
    figures = {} if seen.value is None else {"value": seen.value}
    occurrence = Occurrence(
        f"{caller.id}:{seen.event_id}", key_of(parts.site, seen.key.model_dump()), (seen.rule,), at, at, figures=figures
    )  # fmt: skip
    try:
        no, result = parts.tickets.occur(conn, now, occurrence)
    except Refused as error:
        raise Problem.of(error, 422) from error
    return {"event_id": seen.event_id, "ticket": no, "result": result}
