"""Tickets: read, raise, act. A step is checked by the records' rules; here only its shape and who may call."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from pydantic import AwareDatetime
from sqlalchemy import Connection

from agent.errors import Refused
from agent.records.tickets import board
from agent.records.tickets.model import Ticket
from agent.records.tickets.service import Tickets, get, history, listing, occurrences
from agent.ui.api import shapes, views
from agent.ui.api.answers import Problem, StrictRoute, answer
from agent.ui.api.caller import Caller, Parts, allowed
from agent.ui.api.once import Answer, Key, ask_of, once

ENTERED_MAX = timedelta(days=7)
"""An act that waited on a tablet counts when it was entered, if that is not longer ago."""

Look = Annotated[Caller, Depends(allowed("look"))]
No = Annotated[str, Path(max_length=60, pattern=r"^[A-Za-z0-9-]+$")]
EnteredAt = Annotated[
    AwareDatetime | None, Header(alias="X-Andon-Entered-At", description="when the person pressed, if sent later")
]
PAGE = Query(default=50, ge=1, le=200)

router = APIRouter(prefix="/api/v1", tags=["tickets"], route_class=StrictRoute)


@router.get("/tickets", response_model=shapes.TicketsOut, responses=shapes.errors())
def list_tickets(
    parts: Parts, caller: Look, state: Literal["open", "all"] = "open", station: str | None = None, limit: int = PAGE,
    after: str | None = None,
) -> Response:  # fmt: skip
    """Tickets, newest first."""
    with parts.store.read() as conn:
        return answer(page(conn, parts.clock.now(), parts.tickets, state, station, limit, after))


@router.get("/tickets/{no}", response_model=shapes.TicketDetailOut, responses=shapes.errors(404))
def show_ticket(no: No, parts: Parts, caller: Look) -> Response:
    """A ticket, what happened to it, and its last 25 occurrences."""
    with parts.store.read() as conn:
        return answer(detail(conn, parts.clock.now(), parts.tickets, no))


def page(
    conn: Connection, now: datetime, service: Tickets, state: str, station: str | None, limit: int, after: str | None
) -> dict[str, Any]:
    """A page of tickets as JSON."""
    found, following = listing(conn, state=state, station=station, limit=limit, after=after)
    return {"tickets": views.tickets(conn, found, now, service.directory(conn)), "next": following}


def detail(conn: Connection, now: datetime, service: Tickets, no: str) -> dict[str, Any]:
    """A ticket with its history as JSON. Raises Problem (404)."""
    found = get(conn, no)
    if found is None:
        raise Problem(404, "tickets.refused.unknown", no=no)
    who = service.directory(conn)
    return views.tickets(conn, [found], now, who)[0] | {
        "history": board.history(history(conn, no), who),
        "occurrence_list": occurrences(conn, no, 25),
    }


@router.post(
    "/tickets", status_code=201, response_model=shapes.TicketOut, responses=shapes.errors(*shapes.WRITES)
)  # fmt: skip
async def raise_ticket(
    body: shapes.RaiseIn, request: Request, parts: Parts, caller: Annotated[Caller, Depends(allowed("raise"))],
    key: Key = None, entered_at: EnteredAt = None,
) -> Response:  # fmt: skip
    """Report a problem; its deadlines begin when it was entered."""
    missing = [sha for sha in body.photos if parts.blobs.path(sha) is None]
    if missing:
        raise Problem(422, "api.photo_missing", sha=missing[0][:12])
    ask = await ask_of(request, caller, key, body.event_id)

    def work(conn: Connection, now: datetime) -> Ticket:
        try:
            return parts.tickets.raise_ticket(
                conn, now, caller.actor, uuid=ask.identity, title=body.title, description=body.description,
                category=body.category, severity=body.severity, station=body.station,
                characteristic=body.characteristic, photos=body.photos, channel=caller.kind,
                at=_believed(entered_at, now),
            )  # fmt: skip
        except Refused as error:
            raise Problem.of(error, 422) from error  # nothing that will change: not to be asked again

    def job(conn: Connection) -> Answer:
        now = parts.clock.now()
        return once(conn, now, ask, lambda: _told(conn, now, parts.tickets, work(conn, now), 201))

    return (await parts.store.write(job)).response()


def _told(conn: Connection, now: datetime, service: Tickets, found: Ticket, status: int) -> Answer:
    return Answer(status, views.tickets(conn, [found], now, service.directory(conn))[0])


class _Acting:
    """An act on a ticket, on its way to the rules."""

    def __init__(
        self, request: Request, parts: Parts, caller: Annotated[Caller, Depends(allowed("act"))], key: Key = None,
        entered_at: EnteredAt = None,
    ) -> None:  # fmt: skip
        self._request, self._parts, self._caller, self._key = request, parts, caller, key
        self._entered_at = entered_at

    async def act(self, no: str, action: str, body: shapes.ActIn) -> Response:
        """Do it. Raises Refused (409), Problem (404, 422)."""
        parts = self._parts
        ask = await ask_of(self._request, self._caller, self._key, body.event_id)
        args = body.model_dump(exclude={"event_id"}, exclude_none=True)

        def job(conn: Connection) -> Answer:
            now = parts.clock.now()

            def work() -> Answer:
                if get(conn, no) is None:
                    raise Problem(404, "tickets.refused.unknown", no=no)
                done = parts.tickets.act(
                    conn, now, no, action, args, self._caller.actor, ask.identity, self._at(now)
                )  # fmt: skip
                return _told(conn, now, parts.tickets, done, 200)

            return once(conn, now, ask, work)

        return (await parts.store.write(job)).response()

    def _at(self, now: datetime) -> datetime | None:
        return _believed(self._entered_at, now)


def _believed(entered: datetime | None, now: datetime) -> datetime | None:
    """When it was entered, if that can be: not ahead of our clock, and not too long ago."""
    return entered if entered is not None and now - ENTERED_MAX <= entered <= now else None


Acting = Annotated[_Acting, Depends()]


def _step(action: str) -> Callable[[Any], Any]:
    return router.post(
        f"/tickets/{{no}}/{action}",
        response_model=shapes.TicketOut,
        responses=shapes.errors(404, 409, *shapes.WRITES),
    )


@_step("respond")
async def respond(no: No, body: shapes.ActIn, acting: Acting) -> Response:
    """Take it up."""
    return await acting.act(no, "respond", body)


@_step("contain")
async def contain(no: No, body: shapes.TextIn, acting: Acting) -> Response:
    """Say how the damage was limited."""
    return await acting.act(no, "contain", body)


@_step("analyse")
async def analyse(no: No, body: shapes.AnalyseIn, acting: Acting) -> Response:
    """Say the cause and the countermeasure."""
    return await acting.act(no, "analyse", body)


@_step("implement")
async def implement(no: No, body: shapes.TextIn, acting: Acting) -> Response:
    """Say that the countermeasure was carried out."""
    return await acting.act(no, "implement", body)


@_step("verify")
async def verify(no: No, body: shapes.VerifyIn, acting: Acting) -> Response:
    """Say whether it works."""
    return await acting.act(no, "verify", body)


@_step("cancel")
async def cancel(no: No, body: shapes.CancelIn, acting: Acting) -> Response:
    """Say why there is nothing to do."""
    return await acting.act(no, "cancel", body)


@_step("reassign")
async def reassign(no: No, body: shapes.ReassignIn, acting: Acting) -> Response:
    """Hand it to somebody else."""
    return await acting.act(no, "reassign", body)


@_step("comment")
async def comment(no: No, body: shapes.TextIn, acting: Acting) -> Response:
    """Add words."""
    return await acting.act(no, "comment", body)


@_step("reopen")
async def reopen(no: No, body: shapes.TextIn, acting: Acting) -> Response:
    """Say that the problem is back."""
    return await acting.act(no, "reopen", body)
