"""Who calls: the token names the device, the badge the person. Looked up at every request: revoked is dead at once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Row

from agent.model import Actor, PersonId
from agent.plant.devices import device_of, touch
from agent.plant.directory import person_of, person_row
from agent.store.write import Store, StoreFull
from agent.ui.api.answers import Problem
from agent.ui.api.roles import KIOSK, may
from agent.ui.parts import EdgeParts

SEEN_EVERY = timedelta(minutes=1)

_bearer = HTTPBearer(auto_error=False, description="token of a kiosk or a program: andon device add")


@dataclass(frozen=True, slots=True)
class Caller:
    """A device with its token, and the actor that its request stands for."""

    id: str
    kind: str
    name: str
    station: str | None
    credential: str
    """The hash of its token: another enrolment of the same id is another credential."""
    actor: Actor


async def parts_of(request: Request) -> EdgeParts:
    """The parts of the edge this app was built with."""
    parts: EdgeParts = request.app.state.parts
    return parts


Parts = Annotated[EdgeParts, Depends(parts_of)]
Token = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
Badge = Annotated[str | None, Header(alias="X-Andon-Badge", max_length=200, description="employee number, URL-encoded")]


def allowed(action: str) -> Callable[..., Caller]:
    """A dependency: the caller, if its token may do `action` (roles.MAY). Raises Problem 401 or 403.

    An unknown badge is 403 and not 422, which would put a tablet's report aside for good: a new colleague may stand in
    the directory tomorrow.
    """

    def caller(parts: Parts, token: Token, badge: Badge = None) -> Caller:
        with parts.store.read() as conn:
            row = device_of(conn, token.credentials) if token is not None else None
            if row is None:
                raise Problem(401, "api.token", {"WWW-Authenticate": "Bearer"})
            if not may(row.kind, action):
                raise Problem(403, "api.role", device=row.name)
            number = unquote(badge).strip() if badge else None
            known = person_row(conn, number) if number else None
        if number and (known is None or not known["active"]):
            raise Problem(403, "api.badge", badge=number[:40])
        note_seen(parts.store, parts.clock.now(), row)
        roles = frozenset({row.kind})
        if known is not None and row.kind == KIOSK:
            roles = person_of(
                known
            ).roles  # a badge shown to a program makes no person of it: it only names who reports
        person = PersonId(number) if number else None
        actor = Actor(person, roles, via=row.kind, device=row.id)
        return Caller(row.id, row.kind, row.name, row.station, row.token_hash, actor)

    return caller


def note_seen(store: Store, now: datetime, row: Row[Any]) -> None:
    """Note when a device was last heard, at most once a minute; a full store is no reason to refuse it."""
    if row.seen_at is None or now - row.seen_at > SEEN_EVERY:
        with contextlib.suppress(StoreFull):
            store.submit(lambda conn: touch(conn, now, row))
